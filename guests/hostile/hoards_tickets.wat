;; H23: asks for the same object again and again, and gives no ticket back.
(import "cache" "get" (func $get (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
(func $attack (param $call i32) (result i32)
  (loop $again
    (call $get
      (i32.const 2048) (i32.const 2) (i32.const 2056) (i32.const 9)
      (i32.const 1) (i32.const 2072) (i32.const 7) (i32.const 2080) (i32.const 6)
      (i32.const 2096))
    (if (i32.eqz (i32.load8_u (i32.const 2096))) (then (return (i32.const 0))))
    (br $again))
  (unreachable))
(data (i32.const 2048) "v1")
(data (i32.const 2056) "ConfigMap")
(data (i32.const 2072) "default")
(data (i32.const 2080) "fine-0")
