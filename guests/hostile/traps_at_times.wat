;; H13: traps in every thousandth call of an instance.
(global $calls (mut i32) (i32.const 0))
(func (export "on-update") (param $call i32) (result i32)
  (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
  (if (i32.eq (global.get $calls) (i32.const 1000)) (then (unreachable)))
  (i32.const 0))
