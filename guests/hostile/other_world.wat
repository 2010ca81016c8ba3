;; H34, H35: is a handler of another world or of another version of this one. The import takes the place of
;; that of the log.
(import "log" "log" (func $log (param i32 i32 i32 i32 i32)))
(func (export "on-synced") (result i32) (i32.const 0))
