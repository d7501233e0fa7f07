# Called by parallel_ufunc alone, by cimport.
