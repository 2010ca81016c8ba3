;; What a guest is in that imports WASI 0.2 as well, which core modules cannot: a component, with the guest in
;; the place of the line that names it. Memory is made before it, since WASI's functions write there.
(component
  (import "informerd:handler/types@0.1.0" (instance $types
    (type $object-key (record
      (field "group" string)
      (field "version" string)
      (field "kind" string)
      (field "namespace" (option string))
      (field "name" string)
      (field "uid" string)
      (field "resource-version" string)))
    (export "object-key" (type (eq $object-key)))
    (type $watch (record
      (field "api-version" string)
      (field "kind" string)
      (field "namespaces" (list string))
      (field "label-selector" string)
      (field "field-selector" string)))
    (export "watch" (type (eq $watch)))
    (type $retry (record (field "after-ms" (option u32)) (field "reason" string)))
    (export "retry" (type $exported-retry (eq $retry)))
    (type $failure (variant (case "retry" $exported-retry) (case "permanent" string)))
    (export "failure" (type (eq $failure)))))
  (alias export $types "object-key" (type $object-key))
  (alias export $types "watch" (type $watch))
  (alias export $types "failure" (type $failure))

  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $waited-for))
    (export "pollable" (type $pollable (eq $waited-for)))
    (export "now" (func (result u64)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (import "wasi:clocks/wall-clock@0.2.0" (instance $wall-clock
    (type $time (record (field "seconds" u64) (field "nanoseconds" u32)))
    (export "datetime" (type $datetime (eq $time)))
    (export "now" (func (result $datetime)))))
  (import "wasi:random/random@0.2.0" (instance $random
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))

  (core module $heap
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 32768))
    ;; In turns: what was given out some calls before is not in use any more.
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (if (i32.gt_u (global.get $next) (i32.const 49152))
        (then (global.set $next (i32.const 32768))))
      (global.get $next)
      (global.set $next (i32.and
        (i32.add (i32.add (global.get $next) (local.get 3)) (i32.const 7)) (i32.const -8)))))
  (core instance $heap (instantiate $heap))
  (alias core export $heap "memory" (core memory $memory))
  (alias core export $heap "realloc" (core func $realloc))
  (core func $now (canon lower (func $clock "now")))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $drop (canon resource.drop $pollable))
  (core func $wall-now (canon lower (func $wall-clock "now") (memory $memory)))
  (core func $bytes
    (canon lower (func $random "get-random-bytes") (memory $memory) (realloc $realloc)))

  (core module $guest
    ;; The guest.
  )
  (core instance $core (instantiate $guest (with "wasi" (instance
    (export "memory" (memory $memory))
    (export "now" (func $now))
    (export "subscribe" (func $subscribe))
    (export "block" (func $block))
    (export "drop" (func $drop))
    (export "wall-now" (func $wall-now))
    (export "random" (func $bytes))))))

  (func $watches (result (list $watch))
    (canon lift (core func $core "watches") (memory $memory)))
  (func $init (result (result (error string)))
    (canon lift (core func $core "init") (memory $memory) (realloc $realloc)))
  (func $on-add
    (param "key" $object-key) (param "object" u32) (param "is-in-initial-list" bool)
    (result (result (error $failure)))
    (canon lift (core func $core "on-add") (memory $memory) (realloc $realloc)
      (post-return (func $core "cabi_post_on-add"))))
  (func $on-update
    (param "key" $object-key) (param "old" u32) (param "new" u32)
    (result (result (error $failure)))
    (canon lift (core func $core "on-update") (memory $memory) (realloc $realloc)
      (post-return (func $core "cabi_post_on-update"))))
  (func $on-delete
    (param "key" $object-key) (param "last" u32) (param "final-state-unknown" bool)
    (result (result (error $failure)))
    (canon lift (core func $core "on-delete") (memory $memory) (realloc $realloc)))
  (func $on-synced (result (result (error $failure)))
    (canon lift (core func $core "on-synced") (memory $memory)))

  (instance $handler
    (export "watches" (func $watches))
    (export "init" (func $init))
    (export "on-add" (func $on-add))
    (export "on-update" (func $on-update))
    (export "on-delete" (func $on-delete))
    (export "on-synced" (func $on-synced)))
  (export "informerd:handler/handler@0.1.0" (instance $handler)))
