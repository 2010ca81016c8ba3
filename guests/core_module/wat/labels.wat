;; Reports the labels of config maps: a handler by hand, without any tool but an assembler.
;;
;; Names are the short ones of wit/CORE-MODULES.md, layouts those of the canonical ABI: a key and two
;; more parameters are 17 words, above 16, so on-add, on-update and on-delete get one address:
;;
;;   0 group  8 version  16 kind  24 namespace (is there, 28 text)  36 name  44 uid  52 resource-version
;;   60 object, old or last  64 is-in-initial-list, new or final-state-unknown
(module
  ;; Ticket, pointer (address, length), where the answer goes: is there, address, length.
  (import "objects" "get" (func $get (param i32 i32 i32 i32)))
  ;; Level, message (address, length), fields (address, number).
  (import "log" "log" (func $log (param i32 i32 i32 i32 i32)))

  (memory (export "memory") 1)
  (global $info i32 (i32.const 2))

  ;; Answers. Everything was fine, of whatever type: zero.
  (global $ok i32 (i32.const 0))
  ;; result: error; failure: permanent (1); its text.
  (data (i32.const 64) "\01\00\00\00\01\00\00\00\00\04\00\00\0d\00\00\00")
  (global $asked-to-fail i32 (i32.const 64))
  ;; list<watch>: one, at 112.
  (data (i32.const 96) "\70\00\00\00\01\00\00\00")
  (global $watches i32 (i32.const 96))
  ;; api-version, kind, namespaces, label-selector, field-selector.
  (data (i32.const 112) "\10\04\00\00\02\00\00\00\20\04\00\00\09\00\00\00")
  ;; What objects#get answered, for up to two tickets.
  (global $labels i32 (i32.const 192))
  (global $old-labels i32 (i32.const 208))
  (global $fail i32 (i32.const 224))

  (data (i32.const 1024) "asked to fail")
  (data (i32.const 1040) "v1")
  (data (i32.const 1056) "ConfigMap")
  (data (i32.const 1072) "/metadata/labels")
  (data (i32.const 1088) "/metadata/labels/fail")
  (data (i32.const 1120) "\"permanent\"")
  (data (i32.const 1136) "added ")
  (data (i32.const 1152) "relabelled ")
  (data (i32.const 1168) "deleted ")
  (data (i32.const 1184) "synced")
  (data (i32.const 1200) "none")

  ;; Memory: from here up, given out one after the other, and free again when a call is over.
  (global $heap-begin i32 (i32.const 4096))
  (global $heap (mut i32) (i32.const 4096))
  (func $allocate (export "cabi_realloc")
    (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
    (local $address i32) (local $missing i32)
    (local.set $address (i32.and
      (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
    (global.set $heap (i32.add (local.get $address) (local.get $size)))
    (local.set $missing
      (i32.sub (global.get $heap) (i32.shl (memory.size) (i32.const 16))))
    (if (i32.gt_s (local.get $missing) (i32.const 0))
      (then
        (if (i32.eq (i32.const -1) (memory.grow
              (i32.shr_u (i32.add (local.get $missing) (i32.const 65535)) (i32.const 16))))
          (then unreachable))))
    (memory.copy (local.get $address) (local.get $old) (local.get $old-size))
    (local.get $address))
  (func $free-all (export "cabi_post_on-add") (export "cabi_post_on-update")
    (export "cabi_post_on-delete") (param i32)
    (global.set $heap (global.get $heap-begin)))

  (func (export "watches") (result i32) (global.get $watches))
  (func (export "init") (result i32) (global.get $ok))

  (func (export "on-add") (param $call i32) (result i32)
    (call $read-labels (i32.load offset=60 (local.get $call)) (global.get $labels))
    (call $say (i32.const 1136) (i32.const 6) (local.get $call) (global.get $labels))
    (call $answer (i32.load offset=60 (local.get $call))))

  (func (export "on-update") (param $call i32) (result i32)
    (call $read-labels (i32.load offset=60 (local.get $call)) (global.get $old-labels))
    (call $read-labels (i32.load offset=64 (local.get $call)) (global.get $labels))
    (if (i32.eqz (call $equal
          (i32.load offset=4 (global.get $old-labels)) (i32.load offset=8 (global.get $old-labels))
          (i32.load offset=4 (global.get $labels)) (i32.load offset=8 (global.get $labels))))
      (then
        (call $say (i32.const 1152) (i32.const 11) (local.get $call) (global.get $labels))))
    (call $answer (i32.load offset=64 (local.get $call))))

  (func (export "on-delete") (param $call i32) (result i32)
    (i32.store offset=8 (global.get $labels) (i32.const 0))
    (call $say (i32.const 1168) (i32.const 8) (local.get $call) (global.get $labels))
    (global.get $ok))

  (func (export "on-synced") (result i32)
    (call $log (global.get $info) (i32.const 1184) (i32.const 6) (i32.const 0) (i32.const 0))
    (global.get $ok))

  ;; The labels as JSON text, or `none`.
  (func $read-labels (param $ticket i32) (param $into i32)
    (call $get (local.get $ticket) (i32.const 1072) (i32.const 16) (local.get $into))
    (if (i32.eqz (i32.load8_u (local.get $into)))
      (then
        (i32.store offset=4 (local.get $into) (i32.const 1200))
        (i32.store offset=8 (local.get $into) (i32.const 4)))))

  ;; `ok`, unless the label `fail` says `permanent`.
  (func $answer (param $ticket i32) (result i32)
    (call $get (local.get $ticket) (i32.const 1088) (i32.const 21) (global.get $fail))
    (if (i32.load8_u (global.get $fail))
      (then
        (if (call $equal
              (i32.load offset=4 (global.get $fail)) (i32.load offset=8 (global.get $fail))
              (i32.const 1120) (i32.const 11))
          (then (return (global.get $asked-to-fail))))))
    (global.get $ok))

  (func $equal (param $a i32) (param $a-length i32) (param $b i32) (param $b-length i32)
    (result i32)
    (if (i32.ne (local.get $a-length) (local.get $b-length)) (then (return (i32.const 0))))
    (loop $next
      (if (i32.eqz (local.get $a-length)) (then (return (i32.const 1))))
      (if (i32.eq (i32.load8_u (local.get $a)) (i32.load8_u (local.get $b)))
        (then
          (local.set $a (i32.add (local.get $a) (i32.const 1)))
          (local.set $b (i32.add (local.get $b) (i32.const 1)))
          (local.set $a-length (i32.sub (local.get $a-length) (i32.const 1)))
          (br $next))))
    (i32.const 0))

  ;; Logs `<verb><namespace>/<name> <labels>`.
  (func $say (param $verb i32) (param $verb-length i32) (param $key i32) (param $labels i32)
    (local $line i32)
    (local.set $line (call $allocate (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0)))
    (call $append (local.get $verb) (local.get $verb-length))
    (if (i32.load8_u offset=24 (local.get $key))
      (then
        (call $append
          (i32.load offset=28 (local.get $key)) (i32.load offset=32 (local.get $key)))
        (call $append-byte (i32.const 47))))
    (call $append (i32.load offset=36 (local.get $key)) (i32.load offset=40 (local.get $key)))
    (if (i32.load offset=8 (local.get $labels))
      (then
        (call $append-byte (i32.const 32))
        (call $append
          (i32.load offset=4 (local.get $labels)) (i32.load offset=8 (local.get $labels)))))
    (call $log (global.get $info)
      (local.get $line) (i32.sub (global.get $heap) (local.get $line))
      (i32.const 0) (i32.const 0)))
  (func $append (param $from i32) (param $length i32)
    (memory.copy
      (call $allocate (i32.const 0) (i32.const 0) (i32.const 1) (local.get $length))
      (local.get $from) (local.get $length)))
  (func $append-byte (param $byte i32)
    (i32.store8
      (call $allocate (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 1))
      (local.get $byte))))
