// A browser starts no Worker for a page that lies on a disk. There the search runs in a hidden frame instead.
// Its name is what the theme's plugin `offline` looks for; without it the plugin would fetch one from another host.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.inside = frame.contentWindow;
      this.ready = new Promise((done) => frame.addEventListener("load", done, { once: true }));
      addEventListener("message", (event) => {
        if (event.source === this.inside) {
          this.dispatchEvent(new MessageEvent("message", { data: event.data }));
        }
      });
      const page = this.inside.document;
      page.open();
      this.inside.postMessage = (data) => this.inside.eval("(d) => parent.postMessage(d, '*')")(data);
      page.write(`<script src="${url}"></script>`);
      page.close();
    }

    postMessage(data) {
      this.ready.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })));
    }
  };
}
