;; H38: looks for Secrets, which it neither watches nor is granted, by each way into the cache. Traps if what is
;; there looks in any way different from what is not, or from a kind that nobody serves.
(import "cache" "get" (func $get (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
(import "cache" "list-objects" (func $list
  (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
(import "cache" "list-by-index" (func $by-index
  (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
(func $attack (param $call i32) (result i32)
  (call $look (i32.const 2056) (i32.const 2080))
  (call $look (i32.const 2056) (i32.const 2088))
  (call $look (i32.const 2064) (i32.const 2080))
  (i32.const 0))
;; One kind and name, of six characters each.
(func $look (param $kind i32) (param $name i32)
  (call $get
    (i32.const 2048) (i32.const 2) (local.get $kind) (i32.const 6)
    (i32.const 1) (i32.const 2072) (i32.const 7) (local.get $name) (i32.const 6)
    (i32.const 2112))
  (if (i32.load8_u (i32.const 2112)) (then (unreachable)))
  (call $list
    (i32.const 2048) (i32.const 2) (local.get $kind) (i32.const 6)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2112))
  (call $expect-empty-page)
  (call $by-index
    (i32.const 2048) (i32.const 2) (local.get $kind) (i32.const 6)
    (i32.const 2096) (i32.const 9) (i32.const 2072) (i32.const 7) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2112))
  (call $expect-empty-page))
;; At 2112: result, ok, with no objects and no cursor.
(func $expect-empty-page
  (if (i32.load8_u (i32.const 2112)) (then (unreachable)))
  (if (i32.load (i32.const 2120)) (then (unreachable)))
  (if (i32.load8_u (i32.const 2124)) (then (unreachable))))
(data (i32.const 2048) "v1")
(data (i32.const 2056) "Secret")
(data (i32.const 2064) "Nobody")
(data (i32.const 2072) "default")
(data (i32.const 2080) "hidden")
(data (i32.const 2088) "absent")
(data (i32.const 2096) "namespace")
