;; H7: takes all the table elements that it gets, and traps should they be more than 10,000.
(table $table 1 funcref)
(func $attack (param $call i32) (result i32)
  (loop $again
    (br_if $again (i32.ne (table.grow $table (ref.null func) (i32.const 100)) (i32.const -1))))
  (if (i32.gt_u (table.size $table) (i32.const 10000)) (then (unreachable)))
  (i32.const 0))
