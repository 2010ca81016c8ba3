;; A component, but not of the handler world: it exports something else.
(component
  (core module $module
    (func (export "answer") (result i32) (i32.const 42)))
  (core instance $instance (instantiate $module))
  (func $answer (result u32) (canon lift (core func $instance "answer")))
  (instance $greet (export "answer" (func $answer)))
  (export "example:greeter/greet@1.0.0" (instance $greet)))
