;; H6: takes all the memory that it gets, and then traps, as languages do whose allocator gets nothing more.
(func $attack (param $call i32) (result i32)
  (loop $again
    (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
  (unreachable))
