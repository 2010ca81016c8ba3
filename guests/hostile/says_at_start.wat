;; H50: does not end its start, and says so all the while.
(import "log" "log" (func $log (param i32 i32 i32 i32 i32)))
(func (export "init") (result i32)
  (local $rounds i32)
  (loop $again
    (local.set $rounds (i32.const 10000000))
    (loop $round
      (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1)))
      (br_if $round (local.get $rounds)))
    (call $log (i32.const 2) (i32.const 2048) (i32.const 8) (i32.const 0) (i32.const 0))
    (br $again))
  (unreachable))
(data (i32.const 2048) "starting")
