// A team of threads.
#pragma once
#ifdef __APPLE__
#include <dispatch/dispatch.h>
#endif

// f(0), ..., f(threads - 1), side by side. Apple's compilers come without OpenMP, and its systems with threads of their own.
template <class F> void each_thread(int threads, const F& f) {
#ifdef __APPLE__
  dispatch_apply_f(threads, DISPATCH_APPLY_AUTO, (void*)&f, [](void* work, size_t t) { (*(const F*)work)((int)t); });
#else
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int t = 0; t < threads; ++t) f(t);
#endif
}
