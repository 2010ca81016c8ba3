;; H21: prints 100,000 lines on standard output, and one without an end of 800 KB.
(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
(func $attack (param $call i32) (result i32)
  (local $writes i32)
  ;; Lines of one character.
  (memory.fill (i32.const 4096) (i32.const 120) (i32.const 4000))
  (local.set $writes (i32.const 4000))
  (loop $line
    (i32.store8 offset=4096 (local.get $writes) (i32.const 10))
    (local.set $writes (i32.sub (local.get $writes) (i32.const 2)))
    (br_if $line (i32.gt_s (local.get $writes) (i32.const 0))))
  (call $print (i32.const 50))
  (memory.fill (i32.const 4096) (i32.const 120) (i32.const 4000))
  (call $print (i32.const 200))
  (i32.const 0))
(func $print (param $writes i32)
  (loop $next
    (drop (call $write (i32.const 1) (i32.const 2048) (i32.const 1) (i32.const 2056)))
    (local.set $writes (i32.sub (local.get $writes) (i32.const 1)))
    (br_if $next (local.get $writes))))
;; An iovec: 4,000 bytes at 4096.
(data (i32.const 2048) "\00\10\00\00\a0\0f\00\00")
