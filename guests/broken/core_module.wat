;; Not a component: a core module.
(module
  (memory (export "memory") 1)
  (func (export "on-add")))
