;; A component of the handler world whose core module traps in its start function, so that
;; instantiating it fails. None of its functions is ever called.
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
    (type $ticket u32)
    (export "ticket" (type (eq $ticket)))
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

  (core module $module
    (memory (export "memory") 1)
    (func $start unreachable)
    (start $start)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "watches") (result i32) unreachable)
    (func (export "init") (result i32) unreachable)
    ;; A key, a ticket and a flag are 17 words flat; above 16 they are passed in memory.
    (func (export "on-object") (param i32) (result i32) unreachable)
    (func (export "on-synced") (result i32) unreachable))
  (core instance $core (instantiate $module))
  (alias core export $core "memory" (core memory $memory))
  (alias core export $core "realloc" (core func $realloc))

  (func $watches (result (list $watch))
    (canon lift (core func $core "watches") (memory $memory)))
  (func $init (result (result (error string)))
    (canon lift (core func $core "init") (memory $memory) (realloc $realloc)))
  (func $on-add
    (param "key" $object-key) (param "object" u32) (param "is-in-initial-list" bool)
    (result (result (error $failure)))
    (canon lift (core func $core "on-object") (memory $memory) (realloc $realloc)))
  (func $on-update
    (param "key" $object-key) (param "old" u32) (param "new" u32)
    (result (result (error $failure)))
    (canon lift (core func $core "on-object") (memory $memory) (realloc $realloc)))
  (func $on-delete
    (param "key" $object-key) (param "last" u32) (param "final-state-unknown" bool)
    (result (result (error $failure)))
    (canon lift (core func $core "on-object") (memory $memory) (realloc $realloc)))
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
