;; H18: fails with a reason of 60 MB, all of it there and good UTF-8.
(memory (export "memory") 1000)
(func $attack (param $call i32) (result i32)
  (memory.fill (i32.const 1048576) (i32.const 120) (i32.const 62914560))
  (i32.const 2048))
(data (i32.const 2048) "\01\00\00\00\01\00\00\00\00\00\10\00\00\00\c0\03")
