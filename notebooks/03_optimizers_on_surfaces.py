# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Optimizers on surfaces
#
# A loss over two weights can be drawn. Three surfaces show what makes optimization hard, and eight optimizers show what
# can be done about it: Beale's function with its flat plateau and steep walls, a long valley, and a saddle.

# %%
import matplotlib.pyplot as plt
import numpy as np

import autodiff as ad
from autodiff import optim
from autodiff.landscape import beale, descend, heights, saddle
from autodiff.viz.plots import descent

plt.rcParams.update({"figure.dpi": 110, "font.size": 9, "figure.constrained_layout.use": True})

# %% [markdown]
# The functions are written with tensors, so the same lines give the contours (`heights`, with a grid of points) and the
# gradients (`descend`, with one point). `autodiff.landscape` brings Beale's function (a plateau, four steep corners, a
# minimum of 0 at (3, 0.5)) and a saddle (flat at (0, 0), with minima of -1 at (0, -1.41) and (0, 1.41)); any other is
# written the same way.


# %%
def valley(x, y):
    """Sixty times as steep across as along; the minimum of 0 is at (0, 0)."""
    return (x**2 + 60 * y**2) / 20


# %% [markdown]
# Let $g$ be the gradient; all operations are element by element.
#
# | | the step | |
# |---|---|---|
# | SGD | $w \leftarrow w - \eta g$ | |
# | momentum | $v \leftarrow \mu v + g,\quad w \leftarrow w - \eta v$ | a heavy ball |
# | Nesterov | the same, with $g$ taken where the momentum will carry us | Nesterov 1983 |
# | Adagrad | $s \leftarrow s + g^2,\quad w \leftarrow w - \eta g/\sqrt{s}$ | Duchi et al. 2011 |
# | RMSprop | $s \leftarrow \rho s + (1-\rho) g^2,\quad w \leftarrow w - \eta g/\sqrt{s}$ | Hinton 2012 |
# | Adadelta | as RMSprop, with the size of recent steps in place of $\eta$ | Zeiler 2012 |
# | Adam | RMSprop with momentum, both corrected for their start at 0 | Kingma & Ba 2015 |
# | Rprop | $w \leftarrow w - \delta\,\mathrm{sign}\,g$; $\delta$ grows until the sign turns | Riedmiller 1993 |
#
# A learning rate that suits one optimizer and surface does not suit another, so each has its own for each surface.


# %%
def optimizers(sgd, momentum, adagrad, rmsprop, adadelta, adam, rprop):
    """Return the eight optimizers with the given learning rates; momentum and Nesterov share one."""
    return {
        "SGD": lambda p: optim.SGD(p, lr=sgd),
        "momentum": lambda p: optim.SGD(p, lr=momentum, momentum=0.9),
        "Nesterov": lambda p: optim.SGD(p, lr=momentum, momentum=0.9, nesterov=True),
        "Adagrad": lambda p: optim.Adagrad(p, lr=adagrad),
        "Adadelta": lambda p: optim.Adadelta(p, lr=adadelta),
        "RMSprop": lambda p: optim.RMSprop(p, lr=rmsprop, alpha=0.9),
        "Adam": lambda p: optim.Adam(p, lr=adam),
        "Rprop": lambda p: optim.Rprop(p, lr=rprop, step_sizes=(1e-6, 0.5)),
    }


COLOURS = dict(zip(optimizers(*[1.0] * 7), plt.get_cmap("tab10").colors, strict=False))


def race(function, start, minimum, box, steps, **rates):
    """Let all optimizers run from one start, and draw each path over the contours and all values in one panel."""
    surface = heights(function, box)
    lowest = min(surface.z.min(), function(*ad.tensor(minimum, dtype=ad.float64)).item())
    figure = plt.figure(figsize=(11, 7))
    panels, below = figure.subfigures(2, 1, height_ratios=[2, 1.05])
    results = {}
    for ax, (name, make) in zip(panels.subplots(2, 4, sharex=True, sharey=True).flat, optimizers(**rates).items()):
        results[name] = path = descend(function, make, start, steps)
        descent(surface, {name: path}, ax, minimum=minimum)
        ax.set(xlabel="", ylabel="", title=f"{name}: {path.values[-1] - lowest:.1e} above")
        ax.lines[0].set_color(COLOURS[name])
        ax.get_legend().remove()
    ax = below.subplots()
    for name, path in results.items():
        ax.plot(np.maximum(path.values - lowest, 1e-9), color=COLOURS[name], label=name, linewidth=1.4)
    ax.set(yscale="log", xlabel="step", ylabel="height above the minimum", xlim=(0, steps))
    ax.grid(alpha=0.3)
    ax.legend(ncols=1, loc="center left", bbox_to_anchor=(1, 0.5))
    return {name: path.values - lowest for name, path in results.items()}


# %% [markdown]
# ## Beale's function
#
# Walls hundreds of times steeper than the floor: a step that suits the floor explodes on the wall, so plain gradient
# descent needs a tiny one and crawls. Dividing by the size of recent gradients (Adagrad to Adam), or using their sign
# only (Rprop), takes the steepness out.

# %%
found = race(
    beale, start=(1.0, 1.5), minimum=(3, 0.5), box=(-0.5, 4.5, -1.5, 2.0), steps=200,
    sgd=0.01, momentum=0.002, adagrad=0.7, rmsprop=0.03, adadelta=10.0, adam=0.1, rprop=0.1,
)

# %% [markdown]
# ## A long valley
#
# The floor falls gently along one direction, the sides rise sixty times as steeply. Gradient descent bounces from side
# to side: the largest stable rate is set by the steep direction, the progress by the flat one. On a quadratic the
# number of steps grows with the ratio of the curvatures $\kappa$; momentum needs only about $\sqrt\kappa$, because the
# sideways pushes cancel while those along the valley add up. Nesterov's look-ahead damps the swinging.

# %%
found = race(
    valley, start=(-8.0, 1.2), minimum=(0, 0), box=(-9, 3, -1.8, 1.8), steps=120,
    sgd=0.31, momentum=0.2, adagrad=1.5, rmsprop=0.1, adadelta=30.0, adam=0.3, rprop=0.1,
)
assert found["Nesterov"][-1] < found["momentum"][-1] < found["SGD"][-1]

# %% [markdown]
# ## A saddle
#
# All start almost exactly on the ridge that leads down to the saddle point, a hair's breadth to its side. There the
# gradient nearly vanishes, and gradient descent stays for long: what leads away grows only by a factor in each step.
# Methods that rescale each coordinate take the tiny slope for a full one and leave at once.

# %%
found = race(
    saddle, start=(1.2, 0.001), minimum=(0, 2**0.5), box=(-1.0, 1.6, -1.0, 2.0), steps=80,
    sgd=0.05, momentum=0.02, adagrad=0.3, rmsprop=0.03, adadelta=5.0, adam=0.1, rprop=0.02,
)
assert found["Adam"][-1] < found["SGD"][-1]

# %% [markdown]
# No optimizer wins everywhere. On real losses the gradient is noisy as well, the valleys curve, and there are millions
# of directions; but steepness that differs by direction, and places where the gradient vanishes, are what one meets.
