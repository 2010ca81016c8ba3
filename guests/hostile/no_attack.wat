;; Handles everything: the good neighbour, when it is measured what the others cost it.
