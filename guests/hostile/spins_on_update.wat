;; H1: returns from on-add, and never from on-update.
(func (export "on-add") (param $call i32) (result i32) (i32.const 0))
(func $attack (param $call i32) (result i32)
  (loop $again (br $again))
  (unreachable))
