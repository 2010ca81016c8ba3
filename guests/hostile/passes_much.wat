;; H19: passes 60 MB to the log: as one text, as ten million fields, or as 65,535 fields of one text of 60 KB each.
(import "log" "log" (func $log (param i32 i32 i32 i32 i32)))
(memory (export "memory") 1000)
(func $attack (param $call i32) (result i32)
  (local $field i32)
  (memory.fill (i32.const 2048) (i32.const 120) (i32.const 61440))
  ;; From 131072: fields whose names and values are this text.
  (local.set $field (i32.const 131072))
  (loop $next
    (i32.store (local.get $field) (i32.const 2048))
    (i32.store offset=4 (local.get $field) (i32.const 61440))
    (local.set $field (i32.add (local.get $field) (i32.const 8)))
    (br_if $next (i32.lt_u (local.get $field) (i32.const 1179648))))
  (call $log (i32.const 2) (i32.const 0) (i32.const 62914560) (i32.const 0) (i32.const 0))
  (i32.const 0))
