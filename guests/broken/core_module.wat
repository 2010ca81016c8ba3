;; A core module with less than a handler must have.
(module
  (memory (export "memory") 1)
  (func (export "on-add")))
