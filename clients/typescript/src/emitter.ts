import { after } from "./platform.js";

type Handlers<Events> = { [Name in keyof Events]?: Set<(value: Events[Name]) => void> };

/** Calls typed handlers. */
export class Emitter<Events> {
  #handlers: Handlers<Events> = {};

  /** Returns a function that ends the subscription. */
  on<Name extends keyof Events>(event: Name, handler: (value: Events[Name]) => void): () => void {
    const handlers = (this.#handlers[event] ??= new Set());
    handlers.add(handler);
    return () => handlers.delete(handler);
  }

  protected emit<Name extends keyof Events>(event: Name, value: Events[Name]): void {
    for (const handler of [...(this.#handlers[event] ?? [])]) {
      try {
        handler(value);
      } catch (error) {
        // Reported as an uncaught error, as for DOM events: it must not end the connection.
        after(0, () => {
          throw error;
        });
      }
    }
  }
}
