;; H6, H30: has memory that no guest may have. What it is takes the place of the line below.
(memory (export "memory") 1)
