/** Calls typed handlers. */
export declare class Emitter<Events> {
    #private;
    /** Returns a function that ends the subscription. */
    on<Name extends keyof Events>(event: Name, handler: (value: Events[Name]) => void): () => void;
    protected emit<Name extends keyof Events>(event: Name, value: Events[Name]): void;
}
