// Layout by Graphviz in a worker, one at a time; the newest wish replaces older ones.

function makeLayout(bytes) {
  const address = unpacked(bytes).blob()
    .then((blob) => URL.createObjectURL(new Blob([blob], {type: "text/javascript"})));
  let worker = null;
  let number = 0;
  let waiting = null;

  function start(url) {
    const started = new Worker(url);
    started.onmessage = ({data}) => {
      if (waiting?.number !== data.number) return;
      if (data.error) stop(new Error(data.error));
      else settle().resolve(data.picture);
    };
    started.onerror = (event) => stop(new Error(event.message || "the worker for the layout does not run"));
    return started;
  }

  function settle() {
    const settled = waiting;
    waiting = null;
    return settled;
  }

  /** End the worker: a layout that runs cannot be told to stop, and one that failed may have spoilt its memory. */
  function stop(reason) {
    worker?.terminate();
    worker = null;
    settle()?.reject(reason);
  }

  /** Return the picture of a DOT text as SVG text. */
  function picture(source) {
    if (waiting) stop(new Cancelled());
    number += 1;
    const own = number;
    return new Promise((resolve, reject) => {
      waiting = {number: own, resolve, reject};
      address.then((url) => {
        if (waiting?.number !== own) return;
        worker ??= start(url);
        worker.postMessage({number: own, source});
      }).catch(stop);
    });
  }

  return {picture, cancel: () => stop(new Cancelled())};
}

class Cancelled extends Error {}

/** Return the bytes of a block of the page. */
function bytesOf(id) {
  return Uint8Array.from(atob(document.getElementById(id).textContent), (letter) => letter.charCodeAt(0));
}

function unpacked(bytes) {
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
}

function readJson(id) {
  return unpacked(bytesOf(id)).json();
}
