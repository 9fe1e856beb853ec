var t=class{constructor(t){this.random=t}#t=0;next(t=0){let s=Math.min(30,.5*2**this.#t);return this.#t=Math.min(this.#t+1,16),t+this.random()*s}reset(){this.#t=0}};export{t as Backoff};
