// Runs Graphviz away from the page, so that the page answers while a graph is laid out. `Viz` stands above, in the same
// script.

const graphviz = Viz.instance();

onmessage = async ({data: {number, source}}) => {
  try {
    const renderer = await graphviz;
    postMessage({number, picture: renderer.renderString(source, {format: "svg"})});
  } catch (error) {
    postMessage({number, error: String(error.message ?? error)});
  }
};
