;; H25: reads through the ticket of the call before. (There are no handles that it could keep.)
(import "objects" "json" (func $json (param i32 i32)))
(func $attack (param $call i32) (result i32)
  (call $json
    (i32.sub (i32.load offset=60 (local.get $call)) (i32.const 1)) (i32.const 2048))
  (i32.const 0))
