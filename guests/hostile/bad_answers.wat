;; H14, H17: answers with what is no answer: places outside of memory, odd addresses, lengths of gigabytes.
;; The answer is one line, a failure for good with a text at 2064 of 4 bytes, until that is changed.
(func $attack (param $call i32) (result i32)
  (i32.const 2048))
(data (i32.const 2048) "\01\00\00\00" "\01\00\00\00" "\10\08\00\00" "\04\00\00\00" "text")
