/* A browser starts no worker from a page that it has opened as a file. The search then runs in a frame. */
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super()
      this.waiting = []
      const source = new URL(url, document.baseURI).href
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.srcdoc = `<!doctype html><body><script>
        addEventListener("message", event => event.source === self || event.stopImmediatePropagation())
        self.importScripts = (...urls) => urls.reduce((before, url) => before.then(() => new Promise((done, failed) => {
          const script = document.createElement("script")
          script.onload = done
          script.onerror = failed
          script.src = url
          document.body.append(script)
        })), Promise.resolve())
      <\/script><script src="${source}"><\/script></body>`
      frame.onload = () => {
        const inner = frame.contentWindow
        inner.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
        this.send = data => inner.dispatchEvent(new inner.MessageEvent("message", { data, source: inner }))
        this.waiting.splice(0).forEach(this.send)
      }
      document.body.append(frame)
      this.frame = frame
    }

    postMessage(data) {
      this.send ? this.send(data) : this.waiting.push(data)
    }

    terminate() {
      this.frame.remove()
    }
  }
  window.Worker = window.IFrameWorker
}
