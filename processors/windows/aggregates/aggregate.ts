/**
 * What an aggregate is. Its state is `width` doubles inside the window's row of a shared column, at `at`; so a reading
 * allocates nothing and a window's state is one or two cache lines. `push` is called once for each reading of the window, in
 * the order of the log, `begin` before the first; `merge` takes in another state. To add one: a file of this shape, and its rows in window-state.ts.
 */
export type StateColumn = Float64Array;
