;; H2: never returns from what is no notification: the start function, `_initialize`, `watches`, `init`,
;; `cabi_realloc` or what comes after the answer. Each takes the place of the start function.
(func $spin (loop $again (br $again)))
(start $spin)
