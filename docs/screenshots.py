"""Makes the pictures of pages in graph-page.md, with a headless Chromium.

    python docs/screenshots.py [FOLDER]

They go to docs/pictures/, or to another folder. Measured times in them are those of the machine. Pillow writes them.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
WIDTH, HEIGHT, QUALITY = 1180, 720, 62


def pages() -> dict[str, tuple[Any, Callable[[Any], None]]]:
    """Return for each file the picture whose page it shows, and what is done on the page before."""
    import autodiff as ad
    from autodiff import nn
    from autodiff.viz import draw
    from benchmarks.workloads import gpt, language, resnet

    def drawn(training: Any, title: str, overlay: str = "values") -> Any:
        return draw(training.model, ad.tensor(training.batch[0]), backward=True, overlay=overlay, title=title)

    def layer() -> nn.Module:
        return nn.Sequential(nn.Linear(16, 16), nn.ReLU())

    ad.manual_seed(0)
    mlp = nn.Sequential(layer(), layer(), layer(), nn.Linear(16, 4))
    small = partial(gpt.torch_like, ad, depth=3, width=32, heads=2, batch=2, length=16)
    return {
        "resnet-56": (drawn(resnet.torch_like(ad, depth=56, batch=4), "ResNet-56", "seconds"), keep_for_backward),
        "gpt": (drawn(small(), "GPT"), play_in_the_dark),
        "lstm": (drawn(language.torch_like(ad, "LSTM", batch=2, length=5), "LSTM"), select_the_layer),
        "mlp": (draw(mlp, ad.randn(8, 16), backward=True, overlay="gradient", title="MLP"), show_all),
    }


def show_all(page: Any) -> None:
    """Show the whole graph."""
    page.click("#fit")


def keep_for_backward(page: Any) -> None:
    """Colour by what is kept for the backward pass."""
    page.run("document.getElementById('overlay').value = 'saved_bytes';"
             "document.getElementById('overlay').dispatchEvent(new Event('change'))")


def play_in_the_dark(page: Any) -> None:
    """Play to the middle of the backward pass, on a dark ground."""
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    page.run("document.getElementById('overlay').value = '';"
             "document.getElementById('overlay').dispatchEvent(new Event('change'))")
    page.run("(() => { const step = document.getElementById('step'); step.value = Math.round(0.62 * step.max);"
             " step.dispatchEvent(new Event('input')); })()")


def select_the_layer(page: Any) -> None:
    """Select the first recurrent layer."""
    page.run("document.getElementById('overlay').value = '';"
             "document.getElementById('overlay').dispatchEvent(new Event('change'))")
    page.press("/")
    page.call("Input.insertText", text="lstm_layer forward")
    page.press("Enter")
    page.run("document.getElementById('search').value = ''")


def main() -> None:
    """Make all of them."""
    import browser
    from PIL import Image

    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "pictures"
    ready = "document.getElementById('stage').getAttribute('aria-busy') === 'false'"
    with tempfile.TemporaryDirectory() as folder:
        page = browser.Browser(Path(folder))
        try:
            page.call("Emulation.setDeviceMetricsOverride", width=WIDTH, height=HEIGHT, deviceScaleFactor=1,
                      mobile=False)  # fmt: skip
            for name, (picture, prepare) in pages().items():
                page.call("Emulation.setEmulatedMedia", features=[])
                page.open(Path(picture.write_page(Path(folder, f"{name}.html"))))
                page.wait(ready)
                prepare(page)
                page.wait(ready)
                page.run("new Promise((resolve) => setTimeout(resolve, 500))")  # colours fade over
                shot = Path(folder, "shot.png")
                page.screenshot(shot)
                Image.open(io.BytesIO(shot.read_bytes())).convert("RGB").save(
                    target / f"page-{name}.webp", quality=QUALITY, method=6)
        finally:
            page.close()


if __name__ == "__main__":
    sys.path[:0] = [str(DOCS.parent), str(DOCS.parent / "kernels"), str(DOCS.parent / "tests")]
    main()
