;; H1: never returns. H3: the same in steps that nothing interrupts, each of them the whole memory.
(memory (export "memory") 1000)
(func $attack (param $call i32) (result i32)
  (loop $again
    (nop)
    (br $again))
  (unreachable))
