;; H15: fails each time, with a reason of 60 KB that pretends to be several lines of the log.
(memory (export "memory") 2)
(global $heap (mut i32) (i32.const 98304))
(func $attack (param $call i32) (result i32)
  (memory.fill (i32.const 4096) (i32.const 120) (i32.const 61440))
  (memory.copy (i32.const 4096) (i32.const 2080) (i32.const 16))
  (i32.const 2048))
;; result: error; failure: permanent, its text.
(data (i32.const 2048) "\01\00\00\00\01\00\00\00\00\10\00\00\00\f0\00\00")
(data (i32.const 2080) "no\0aINFO: all ok\0a")
