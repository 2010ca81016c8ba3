;; What every hostile guest has that does not say otherwise: a handler that handles every object, and attacks
;; when the object's name begins with `b`.
;;
;; A hostile guest is a core module (wit/CORE-MODULES.md) without `(module`, since this is put behind it: each
;; block here, up to an empty line, unless the guest has what the block exports or names in its first line.
;; So a guest is what it does wrong, and nothing else. Below 1024, memory stays zero: zeros are the answer
;; "everything was fine", and "nothing to watch". From 2048 to 32768 it is the guest's.

(memory (export "memory") 1)

(func $attack (param $call i32) (result i32) (i32.const 0))

;; Blocks, one after the other; free again when the host has read the answer.
(func $allocate (export "cabi_realloc")
  (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
  (local $block i32)
  (local.set $block (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
  (global.set $heap (i32.add (local.get $block) (local.get $size)))
  (block $fits
    (br_if $fits (i32.le_u (global.get $heap) (i32.shl (memory.size) (i32.const 16))))
    (br_if $fits (i32.ne (i32.const -1)
      (memory.grow (i32.add (i32.shr_u (local.get $size) (i32.const 16)) (i32.const 1)))))
    (unreachable))
  (local.get $block))

(global $heap (mut i32) (i32.const 32768))

;; An attack has begun, and the host has not read an answer to it since.
(global $attacked (mut i32) (i32.const 0))

(func (export "watches") (result i32) (i32.const 0))

(func (export "init") (result i32) (i32.const 0))

(func (export "on-add") (param $call i32) (result i32) (call $on-object (local.get $call)))

(func (export "on-update") (param $call i32) (result i32) (call $on-object (local.get $call)))

(func (export "on-delete") (param $call i32) (result i32) (i32.const 0))

(func (export "on-synced") (result i32) (i32.const 0))

(func (export "cabi_post_on-add") (param i32) (call $answered))

(func (export "cabi_post_on-update") (param i32) (call $answered))

(func $answered
  (global.set $heap (i32.const 32768))
  (global.set $attacked (i32.const 0)))

;; Whoever calls an instance again whose attack gave no answer is told so: a dead letter that no test expects.
(func $on-object (param $call i32) (result i32)
  (if (global.get $attacked) (then (return (i32.const 1024))))
  (if (i32.ne (i32.load8_u (i32.load offset=36 (local.get $call))) (i32.const 98))
    (then (return (i32.const 0))))
  (global.set $attacked (i32.const 1))
  (call $attack (local.get $call)))

;; A failure for good, and its reason.
(data (i32.const 1024) "\01\00\00\00\01\00\00\00\10\04\00\00\1a\00\00\00called after it had failed")
