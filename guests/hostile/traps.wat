;; H11: traps, in one way after the other.
(type $nothing (func))
(table $table 2 funcref)
(elem (i32.const 1) $recurse)
(func $recurse (param i32) (result i32)
  (i32.add (i32.const 1) (call $recurse (local.get 0))))
(func $attack (param $call i32) (result i32)
  (unreachable)
  (i32.const 0))
