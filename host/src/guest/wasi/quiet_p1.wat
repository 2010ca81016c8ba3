;; WASI preview 1 for core modules that become components, without any authority.
;;
;; There are no files, no arguments, no environment and no sockets. Standard input and output are
;; those of WASI 0.2, which the host decides on. Everything else is answered in here: Go's collector
;; reads the clock while the host waits for `cabi_realloc`, when a component must not call out.
;; So time is virtual: a microsecond passes at each reading, and whoever sleeps wakes at once. Random
;; numbers are the same in every instance, and not for secrets.
;;
;; wit-component takes functions that nobody uses out again. It allows no memory of our own; what
;; the host writes back is put at address 0, and what was there is put back.
(module
  (import "env" "memory" (memory 0))
  (import "__main_module__" "_start" (func $main))
  (import "wasi:cli/stdin@0.2.0" "get-stdin" (func $get-stdin (result i32)))
  (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $get-stdout (result i32)))
  (import "wasi:cli/stderr@0.2.0" "get-stderr" (func $get-stderr (result i32)))
  (import "wasi:cli/exit@0.2.0" "exit-with-code" (func $exit (param i32)))
  (import "wasi:io/streams@0.2.0" "[method]input-stream.blocking-read"
    (func $blocking-read (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
    (func $blocking-write (param i32 i32 i32 i32)))

  ;; The streams, once they were asked for: two handles of one stream would break lines.
  (global $stdin (mut i32) (i32.const -1))
  (global $stdout (mut i32) (i32.const -1))
  (global $stderr (mut i32) (i32.const -1))
  ;; Where the bytes that are being read go.
  (global $read-into (mut i32) (i32.const 0))
  ;; Nanoseconds since 1970; it begins with 2026.
  (global $now (mut i64) (i64.const 1767225600000000000))
  (global $random (mut i64) (i64.const 0x9E3779B97F4A7C15))

  (func (export "wasi:cli/run@0.2.0#run") (result i32)
    (call $main)
    (i32.const 0))

  ;; The host asks for memory for what it read: the place that the program named.
  (func (export "cabi_import_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $read-into))

  (func (export "proc_exit") (param $status i32)
    (call $exit (local.get $status))
    unreachable)
  (func (export "sched_yield") (result i32) (i32.const 0))

  ;; Time.
  (func (export "clock_res_get") (param $clock i32) (param $result i32) (result i32)
    (i64.store (local.get $result) (i64.const 1000))
    (i32.const 0))
  (func (export "clock_time_get") (param $clock i32) (param i64) (param $result i32) (result i32)
    (global.set $now (i64.add (global.get $now) (i64.const 1000)))
    (i64.store (local.get $result) (global.get $now))
    (i32.const 0))
  ;; Whatever is waited for is there: time passes to the last of the deadlines.
  (func (export "poll_oneoff")
    (param $in i32) (param $out i32) (param $count i32) (param $result i32) (result i32)
    (local $left i32) (local $began i64) (local $deadline i64)
    (local.set $left (local.get $count))
    (local.set $began (global.get $now))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $left)))
        (i64.store (local.get $out) (i64.load (local.get $in)))
        (i64.store offset=8 (local.get $out) (i64.const 0))
        (i64.store offset=16 (local.get $out) (i64.const 0))
        (i64.store offset=24 (local.get $out) (i64.const 0))
        (i32.store8 offset=10 (local.get $out) (i32.load8_u offset=8 (local.get $in)))
        (if (i32.eqz (i32.load8_u offset=8 (local.get $in)))
          (then
            (local.set $deadline (i64.load offset=24 (local.get $in)))
            (if (i32.eqz (i32.and (i32.load16_u offset=40 (local.get $in)) (i32.const 1)))
              (then (local.set $deadline (i64.add (local.get $began) (local.get $deadline)))))
            (if (i64.gt_u (local.get $deadline) (global.get $now))
              (then (global.set $now (local.get $deadline))))))
        (local.set $in (i32.add (local.get $in) (i32.const 48)))
        (local.set $out (i32.add (local.get $out) (i32.const 32)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $next)))
    (i32.store (local.get $result) (local.get $count))
    (i32.const 0))

  ;; Random numbers: xorshift64*.
  (func (export "random_get") (param $into i32) (param $length i32) (result i32)
    (local $x i64)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $length)))
        (local.set $x (global.get $random))
        (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 12))))
        (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 25))))
        (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 27))))
        (global.set $random (local.get $x))
        (i64.store8 (local.get $into)
          (i64.shr_u (i64.mul (local.get $x) (i64.const 0x2545F4914F6CDD1D)) (i64.const 56)))
        (local.set $into (i32.add (local.get $into) (i32.const 1)))
        (local.set $length (i32.sub (local.get $length) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  ;; No arguments, no environment.
  (func (export "args_get") (param i32 i32) (result i32) (i32.const 0))
  (func (export "args_sizes_get") (param i32 i32) (result i32)
    (i32.store (local.get 0) (i32.const 0))
    (i32.store (local.get 1) (i32.const 0))
    (i32.const 0))
  (func (export "environ_get") (param i32 i32) (result i32) (i32.const 0))
  (func (export "environ_sizes_get") (param i32 i32) (result i32)
    (i32.store (local.get 0) (i32.const 0))
    (i32.store (local.get 1) (i32.const 0))
    (i32.const 0))

  ;; Standard input and output.
  (func (export "fd_read")
    (param $fd i32) (param $buffers i32) (param $count i32) (param $result i32) (result i32)
    (local $length i32) (local $saved-0 i64) (local $saved-8 i64) (local $failed i32)
    (if (local.get $fd) (then (return (i32.const 8))))
    (i32.store (local.get $result) (i32.const 0))
    ;; Into the first buffer that has room; there is more where that came from.
    (block $found
      (loop $next
        (if (i32.eqz (local.get $count)) (then (return (i32.const 0))))
        (local.set $length (i32.load offset=4 (local.get $buffers)))
        (br_if $found (local.get $length))
        (local.set $buffers (i32.add (local.get $buffers) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (global.set $read-into (i32.load (local.get $buffers)))
    (if (i32.eq (global.get $stdin) (i32.const -1))
      (then (global.set $stdin (call $get-stdin))))
    (local.set $saved-0 (i64.load (i32.const 0)))
    (local.set $saved-8 (i64.load (i32.const 8)))
    (call $blocking-read
      (global.get $stdin) (i64.extend_i32_u (local.get $length)) (i32.const 0))
    (local.set $failed (i32.load8_u (i32.const 0)))
    ;; The number of bytes; or what went wrong, which at the end of the input is nothing.
    (local.set $length (i32.load offset=8 (i32.const 0)))
    (if (local.get $failed)
      (then
        (local.set $length (i32.const 0))
        (local.set $failed (i32.eqz (i32.load8_u offset=4 (i32.const 0))))))
    (i64.store (i32.const 0) (local.get $saved-0))
    (i64.store (i32.const 8) (local.get $saved-8))
    (i32.store (local.get $result) (local.get $length))
    (select (i32.const 29) (i32.const 0) (local.get $failed)))
  (func (export "fd_write")
    (param $fd i32) (param $buffers i32) (param $count i32) (param $result i32) (result i32)
    (local $stream i32) (local $from i32) (local $left i32) (local $length i32)
    (local $written i32) (local $saved-0 i64) (local $saved-8 i64) (local $failed i32)
    (if (i32.eq (local.get $fd) (i32.const 1))
      (then
        (if (i32.eq (global.get $stdout) (i32.const -1))
          (then (global.set $stdout (call $get-stdout))))
        (local.set $stream (global.get $stdout)))
      (else
        (if (i32.ne (local.get $fd) (i32.const 2)) (then (return (i32.const 8))))
        (if (i32.eq (global.get $stderr) (i32.const -1))
          (then (global.set $stderr (call $get-stderr))))
        (local.set $stream (global.get $stderr))))
    (block $done
      (loop $buffer
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $from (i32.load (local.get $buffers)))
        (local.set $left (i32.load offset=4 (local.get $buffers)))
        (block $written-all
          (loop $piece
            (br_if $written-all (i32.eqz (local.get $left)))
            ;; The most that may be passed at once.
            (local.set $length (local.get $left))
            (if (i32.gt_u (local.get $length) (i32.const 4096))
              (then (local.set $length (i32.const 4096))))
            (local.set $saved-0 (i64.load (i32.const 0)))
            (local.set $saved-8 (i64.load (i32.const 8)))
            (call $blocking-write
              (local.get $stream) (local.get $from) (local.get $length) (i32.const 0))
            (local.set $failed (i32.load8_u (i32.const 0)))
            (i64.store (i32.const 0) (local.get $saved-0))
            (i64.store (i32.const 8) (local.get $saved-8))
            (if (local.get $failed) (then (return (i32.const 29))))
            (local.set $written (i32.add (local.get $written) (local.get $length)))
            (local.set $from (i32.add (local.get $from) (local.get $length)))
            (local.set $left (i32.sub (local.get $left) (local.get $length)))
            (br $piece)))
        (local.set $buffers (i32.add (local.get $buffers) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $buffer)))
    (i32.store (local.get $result) (local.get $written))
    (i32.const 0))
  ;; A terminal would be written to line by line; this is one, by all that can be told.
  (func (export "fd_fdstat_get") (param $fd i32) (param $result i32) (result i32)
    (if (i32.gt_u (local.get $fd) (i32.const 2)) (then (return (i32.const 8))))
    (memory.fill (local.get $result) (i32.const 0) (i32.const 24))
    (i32.store8 (local.get $result) (i32.const 2))
    ;; Everything but to seek and to tell.
    (i64.store offset=8 (local.get $result) (i64.const -37))
    (i32.const 0))
  (func (export "fd_filestat_get") (param $fd i32) (param $result i32) (result i32)
    (if (i32.gt_u (local.get $fd) (i32.const 2)) (then (return (i32.const 8))))
    (memory.fill (local.get $result) (i32.const 0) (i32.const 64))
    (i32.store8 offset=16 (local.get $result) (i32.const 2))
    (i32.const 0))
  (func (export "fd_fdstat_set_flags") (param i32 i32) (result i32) (i32.const 0))
  (func (export "fd_close") (param $fd i32) (result i32)
    (select (i32.const 8) (i32.const 0) (i32.gt_u (local.get $fd) (i32.const 2))))
  (func (export "fd_seek") (param $fd i32) (param i64 i32 i32) (result i32)
    (select (i32.const 8) (i32.const 70) (i32.gt_u (local.get $fd) (i32.const 2))))
  (func (export "fd_tell") (param $fd i32) (param i32) (result i32)
    (select (i32.const 8) (i32.const 70) (i32.gt_u (local.get $fd) (i32.const 2))))

  ;; No other descriptor is open (8, badf), and nothing else is there (52, nosys).
  (func (export "fd_advise") (param i32 i64 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_allocate") (param i32 i64 i64) (result i32) (i32.const 8))
  (func (export "fd_datasync") (param i32) (result i32) (i32.const 8))
  (func (export "fd_fdstat_set_rights") (param i32 i64 i64) (result i32) (i32.const 8))
  (func (export "fd_filestat_set_size") (param i32 i64) (result i32) (i32.const 8))
  (func (export "fd_filestat_set_times") (param i32 i64 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_pread") (param i32 i32 i32 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_prestat_dir_name") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "fd_prestat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_pwrite") (param i32 i32 i32 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_readdir") (param i32 i32 i32 i64 i32) (result i32) (i32.const 8))
  (func (export "fd_renumber") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_sync") (param i32) (result i32) (i32.const 8))
  (func (export "path_create_directory") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_filestat_get") (param i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_filestat_set_times")
    (param i32 i32 i32 i32 i64 i64 i32) (result i32) (i32.const 8))
  (func (export "path_link") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_open")
    (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) (i32.const 8))
  (func (export "path_readlink") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_remove_directory") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_rename") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_symlink") (param i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "path_unlink_file") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "proc_raise") (param i32) (result i32) (i32.const 52))
  (func (export "sock_accept") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "sock_recv") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "sock_send") (param i32 i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "sock_shutdown") (param i32 i32) (result i32) (i32.const 8)))
