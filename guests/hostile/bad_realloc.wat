;; H29: gives the host blocks that are none. What it answers takes the place of zero.
(import "log" "log" (func $log (param i32 i32 i32 i32 i32)))
(func (export "cabi_realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
  (i32.const 0))
