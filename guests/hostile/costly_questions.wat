;; H22: asks the host what takes it long: a JSON pointer of a million steps, a label selector of a million
;; requirements for each object there is. Traps unless it gets nothing for the one, and an error for the other.
(import "objects" "get" (func $object (param i32 i32 i32 i32)))
;; apiVersion, kind, namespace (is there, text), selector, limit, cursor (is there, text), answer.
(import "cache" "list-objects" (func $list
  (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
(memory (export "memory") 100)
(global $heap (mut i32) (i32.const 4194304))
(func $attack (param $call i32) (result i32)
  (local $at i32)
  (memory.fill (i32.const 1048576) (i32.const 47) (i32.const 1048576))
  (call $object (i32.load offset=60 (local.get $call))
    (i32.const 1048576) (i32.const 1048576) (i32.const 2080))
  (if (i32.load8_u (i32.const 2080)) (then (unreachable)))
  ;; `!x,!x,…`: all of them hold, for every object.
  (local.set $at (i32.const 1048576))
  (loop $next
    (i32.store16 (local.get $at) (i32.const 0x7821))
    (i32.store8 offset=2 (local.get $at) (i32.const 44))
    (local.set $at (i32.add (local.get $at) (i32.const 3)))
    (br_if $next (i32.lt_u (local.get $at) (i32.const 2621440))))
  (call $list
    (i32.const 2048) (i32.const 2) (i32.const 2056) (i32.const 9)
    (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 1048576) (i32.const 1572863) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2096))
  (if (i32.eqz (i32.load8_u (i32.const 2096))) (then (unreachable)))
  (i32.const 0))
(data (i32.const 2048) "v1")
(data (i32.const 2056) "ConfigMap")
