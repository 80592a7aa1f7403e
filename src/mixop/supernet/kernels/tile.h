// Kernels on one image, channels last: depthwise convolutions, small matrix products, pools.
//
// WIDTH floats make a vector; the number of channels is a multiple of it. Padded tiles have PAD pixels of border on each side,
// so that no kernel asks where the image ends. A view is a pointer with the floats from row to row and from pixel to pixel.
#pragma once
#include <cstdint>
#include <cstring>
#include "clock.h"

using i64 = int64_t;
constexpr int PAD = 4;  // the widest reach: a 5x5 convolution of dilation 2
constexpr int V = WIDTH;
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr bool MANY_REGISTERS = true;  // 32 of them hold a vector
#else
constexpr bool MANY_REGISTERS = false;
#endif
typedef float vf __attribute__((vector_size(4 * V)));
typedef int32_t vi __attribute__((vector_size(4 * V)));
typedef char vb __attribute__((vector_size(V)));
typedef double vd __attribute__((vector_size(8 * V)));
#define INLINE static inline __attribute__((always_inline))

INLINE vf load(const float* p) { vf v; std::memcpy(&v, p, sizeof v); return v; }
INLINE void store(float* p, vf v) { std::memcpy(p, &v, sizeof v); }
INLINE vi load(const int32_t* p) { vi v; std::memcpy(&v, p, sizeof v); return v; }
INLINE void store(int32_t* p, vi v) { std::memcpy(p, &v, sizeof v); }
INLINE void add_to(double* p, vf v) {
  vd d;
  std::memcpy(&d, p, sizeof d);
  d += __builtin_convertvector(v, vd);
  std::memcpy(p, &d, sizeof d);
}
INLINE vf load_mask(const char* p) { vb v; std::memcpy(&v, p, sizeof v); return __builtin_convertvector(v, vf); }  // 0 or 1
INLINE vf relu(vf v) { return v < 0.0f ? vf{} : v; }  // keeps what is not a number

struct View { float* p; i64 row, pix; };
struct Const {
  const float* p; i64 row, pix;
  Const() : p(nullptr), row(0), pix(0) {}
  Const(const float* p, i64 row, i64 pix) : p(p), row(row), pix(pix) {}
  Const(View v) : p(v.p), row(v.row), pix(v.pix) {}
};

// ---- padded tiles ---------------------------------------------------------------------------------------------------
INLINE i64 padded(i64 h, i64 w, i64 C) { return (h + 2 * PAD) * (w + 2 * PAD) * C; }
INLINE View inside(float* tile, i64 w, i64 C) {
  const i64 row = (w + 2 * PAD) * C;
  return {tile + PAD * row + PAD * C, row, C};
}
INLINE Const tap(Const at, int reach) { return {at.p - reach * (at.row + at.pix), at.row, at.pix}; }

static void copy_relu(Const x, View o, int rows, int cols, int C) {
  const Timed timed(NODES);
  for (int y = 0; y < rows; ++y)
    for (int q = 0; q < cols; ++q)
      for (int c = 0; c < C; c += V) store(o.p + y * o.row + q * o.pix + c, relu(load(x.p + y * x.row + q * x.pix + c)));
}

// ---- depthwise convolutions -----------------------------------------------------------------------------------------
// o = [o +] sum_t w[t] * s[t]; `flip` takes the taps in reverse, which is the gradient of the input at stride 1.
template <int K>
static void depthwise_k(Const s, int C, int dilation, int stride, const float* w, bool flip, View o, int rows, int cols,
                        bool add) {
  const i64 down = dilation * s.row, right = (i64)dilation * C, step = (i64)stride * C;
  for (int c = 0; c < C; c += V) {
    vf wr[K * K];
    for (int t = 0; t < K * K; ++t) wr[t] = load(w + (flip ? K * K - 1 - t : t) * C + c);
    for (int y = 0; y < rows; ++y) {
      const float* b = s.p + (i64)y * stride * s.row + c;
      float* q = o.p + y * o.row + c;
      for (int x = 0; x < cols; ++x, b += step, q += o.pix) {
        vf a = add ? load(q) : vf{}, a2 = {};
#pragma GCC unroll 7
        for (int i = 0; i < K; ++i) {
          const float* r = b + i * down;
#pragma GCC unroll 7
          for (int j = 0; j < K; ++j) {
            if ((i * K + j) & 1) a2 += wr[i * K + j] * load(r + j * right);
            else a += wr[i * K + j] * load(r + j * right);
          }
        }
        store(q, a + a2);
      }
    }
  }
}
// The same at stride 1 for R neighbours in a row, which read each value of the tile once: p is its place, and neighbour r
// meets it at tap j where p = r + D j.
template <int K, int D, int R>
INLINE void depthwise_row(const float* b, i64 down, i64 C, const float* w, bool flip, float* q, i64 pix, bool add) {
  vf a[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) a[r] = add ? load(q + r * pix) : vf{};
#pragma GCC unroll 1
  for (int i = 0; i < K; ++i, b += down) {
    vf wr[K];
#pragma GCC unroll 7
    for (int j = 0; j < K; ++j) wr[j] = load(w + (flip ? K * K - 1 - (i * K + j) : i * K + j) * C);
#pragma GCC unroll 24
    for (int p = 0; p < R + D * (K - 1); ++p) {
      const vf v = load(b + p * C);
#pragma GCC unroll 7
      for (int j = 0; j < K; ++j)
        if (p - D * j >= 0 && p - D * j < R) a[p - D * j] += wr[j] * v;
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) store(q + r * pix, a[r]);
}
template <int K, int D>
static void depthwise_rows(const Const s, int C, const float* w, bool flip, View o, int rows, int cols, bool add) {
  for (int c = 0; c < C; c += V)
    for (int y = 0; y < rows; ++y) {
      const float* b = s.p + y * s.row + c;
      float* q = o.p + y * o.row + c;
      int x = 0;
      for (; x + 8 <= cols; x += 8) depthwise_row<K, D, 8>(b + x * C, D * s.row, C, w + c, flip, q + x * o.pix, o.pix, add);
      for (; x + 4 <= cols; x += 4) depthwise_row<K, D, 4>(b + x * C, D * s.row, C, w + c, flip, q + x * o.pix, o.pix, add);
      for (; x < cols; ++x) depthwise_row<K, D, 1>(b + x * C, D * s.row, C, w + c, flip, q + x * o.pix, o.pix, add);
    }
}
// dw[t] += sum over pixels of g * s[t]
template <int K>
static void depthwise_weights_k(Const s, int C, int dilation, int stride, Const g, double* dw, int rows, int cols) {
  const i64 down = dilation * s.row, right = (i64)dilation * C, step = (i64)stride * C;
  for (int c = 0; c < C; c += V) {
    vf a[K * K];
    for (int t = 0; t < K * K; ++t) a[t] = vf{};
    for (int y = 0; y < rows; ++y) {
      const float* b = s.p + (i64)y * stride * s.row + c;
      const float* q = g.p + y * g.row + c;
      for (int x = 0; x < cols; ++x, b += step, q += g.pix) {
        const vf gv = load(q);
#pragma GCC unroll 7
        for (int i = 0; i < K; ++i) {
          const float* r = b + i * down;
#pragma GCC unroll 7
          for (int j = 0; j < K; ++j) a[i * K + j] += gv * load(r + j * right);
        }
      }
    }
    for (int t = 0; t < K * K; ++t) add_to(dw + t * C + c, a[t]);
  }
}
// s[t] += w[t] * g: the gradient of the input of a strided convolution
template <int K>
static void depthwise_scatter_k(View s, int C, int dilation, int stride, const float* w, Const g, int rows, int cols) {
  for (int c = 0; c < C; c += V) {
    vf wr[K * K];
    for (int t = 0; t < K * K; ++t) wr[t] = load(w + t * C + c);
    for (int y = 0; y < rows; ++y)
      for (int x = 0; x < cols; ++x) {
        const vf gv = load(g.p + y * g.row + x * g.pix + c);
        float* b = s.p + (i64)y * stride * s.row + (i64)x * stride * C + c;
#pragma GCC unroll 7
        for (int i = 0; i < K; ++i)
#pragma GCC unroll 7
          for (int j = 0; j < K; ++j) {
            float* q = b + i * dilation * s.row + (i64)j * dilation * C;
            store(q, load(q) + gv * wr[i * K + j]);
          }
      }
  }
}
// The interior of a padded tile is given; the taps reach into its border.
static void depthwise(int K, int dilation, int stride, Const s, int C, const float* w, bool flip, View o, int rows, int cols,
                      bool add) {
  const Timed timed(DEPTHWISE_CONVOLUTIONS);
  s = tap(s, K / 2 * dilation);
  // Nine weights stay in registers, which is faster than blocks of neighbours; 25 do not on AVX2.
  if (stride == 1 && dilation == 1 && K == 5) depthwise_rows<5, 1>(s, C, w, flip, o, rows, cols, add);
  else if (stride == 1 && dilation == 2 && K == 5) depthwise_rows<5, 2>(s, C, w, flip, o, rows, cols, add);
  else if (K == 3) depthwise_k<3>(s, C, dilation, stride, w, flip, o, rows, cols, add);
  else if (K == 5) depthwise_k<5>(s, C, dilation, stride, w, flip, o, rows, cols, add);
  else depthwise_k<7>(s, C, dilation, stride, w, flip, o, rows, cols, add);
}
static void depthwise_weights(int K, int dilation, int stride, Const s, int C, Const g, double* dw, int rows, int cols) {
  const Timed timed(DEPTHWISE_GRADIENTS);
  s = tap(s, K / 2 * dilation);
  if (K == 3) depthwise_weights_k<3>(s, C, dilation, stride, g, dw, rows, cols);
  else if (K == 5) depthwise_weights_k<5>(s, C, dilation, stride, g, dw, rows, cols);
  else depthwise_weights_k<7>(s, C, dilation, stride, g, dw, rows, cols);
}
static void depthwise_scatter(int K, int dilation, int stride, View s, int C, const float* w, Const g, int rows, int cols) {
  const Timed timed(DEPTHWISE_CONVOLUTIONS);
  s.p -= K / 2 * dilation * (s.row + s.pix);
  if (K == 3) depthwise_scatter_k<3>(s, C, dilation, stride, w, g, rows, cols);
  else if (K == 5) depthwise_scatter_k<5>(s, C, dilation, stride, w, g, rows, cols);
  else depthwise_scatter_k<7>(s, C, dilation, stride, w, g, rows, cols);
}

// ---- products with matrices (C, C) ----------------------------------------------------------------------------------
struct Product { Const z; const float* W; };  // z W, W from in to out

// What is summed over the result o while it is in registers: S += o and Q += o o, or with a map S += o with
enum After { NOTHING, MOMENTS, DOTS };
struct Sums { double *S, *Q; Const with; };

template <int R>
INLINE vf added(const vf* v) {  // in pairs, so that additions do not wait for each other
  if constexpr (R == 1) return v[0];
  else return added<R / 2>(v) + added<R - R / 2>(v + R / 2);
}
template <int R, int NV, After AFTER>
INLINE void product_block(const Product* from, int n, i64 y, i64 x, float* o, i64 opix, int C, int co, bool add, const float* with,
                          i64 wpix, vf* S, vf* Q) {
  vf acc[NV][R];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 2
    for (int k = 0; k < NV; ++k) acc[k][i] = add ? load(o + i * opix + k * V) : vf{};
  for (int s = 0; s < n; ++s) {
    const float* z = from[s].z.p + y * from[s].z.row + x * from[s].z.pix;
    const float* W = from[s].W + co;
    const i64 pix = from[s].z.pix;
    for (int c = 0; c < C; ++c, W += C) {
      const vf w0 = load(W), w1 = NV == 2 ? load(W + V) : vf{};
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i) {
        const float a = z[i * pix + c];
        acc[0][i] += a * w0;
        if (NV == 2) acc[NV - 1][i] += a * w1;
      }
    }
  }
#pragma GCC unroll 2
  for (int k = 0; k < NV; ++k) {
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) store(o + i * opix + k * V, acc[k][i]);
    if (AFTER == MOMENTS) S[k] += added<R>(acc[k]);
#pragma GCC unroll 16
    for (int i = 0; i < R && AFTER != NOTHING; ++i) acc[k][i] *= AFTER == MOMENTS ? acc[k][i] : load(with + i * wpix + k * V);
    if (AFTER != NOTHING) (AFTER == MOMENTS ? Q : S)[k] += added<R>(acc[k]);
  }
}
template <int R, int NV, After AFTER>
static void product_n(const Product* from, int n, View o, int rows, int cols, int C, bool add, const Sums& sums) {
  for (int co = 0; co < C; co += NV * V)
    for (int y = 0; y < rows; ++y) {
      float* line = o.p + y * o.row + co;
      const float* with = AFTER == DOTS ? sums.with.p + y * sums.with.row + co : nullptr;
      const i64 wpix = sums.with.pix;
      vf S[NV] = {}, Q[NV] = {};
      int x = 0;
      for (; x + R <= cols; x += R)
        product_block<R, NV, AFTER>(from, n, y, x, line + x * o.pix, o.pix, C, co, add, with + x * wpix, wpix, S, Q);
      for (; x + 4 <= cols; x += 4)
        product_block<4, NV, AFTER>(from, n, y, x, line + x * o.pix, o.pix, C, co, add, with + x * wpix, wpix, S, Q);
      for (; x < cols; ++x)
        product_block<1, NV, AFTER>(from, n, y, x, line + x * o.pix, o.pix, C, co, add, with + x * wpix, wpix, S, Q);
      for (int k = 0; k < NV && AFTER != NOTHING; ++k) {
        add_to(sums.S + co + k * V, S[k]);
        if (AFTER == MOMENTS) add_to(sums.Q + co + k * V, Q[k]);
      }
    }
}
// The same for one z by parts of W, V x V, that stay in registers: the sums are short, and `product_block` loses much time at the ends
// of its loop. The compiler has to know C to find its places in z and o, whose pixels lie side by side.
template <int C, int R, After AFTER>
INLINE void part_block(const float* z, const vf* w, float* o, bool add, const float* with, i64 wpix, vf& S, vf& Q) {
  vf a[R];
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i) a[i] = add ? load(o + i * C) : vf{};
#pragma GCC unroll 16
  for (int c = 0; c < V; ++c)
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) a[i] += z[i * C + c] * w[c];
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i) store(o + i * C, a[i]);
  if (AFTER == MOMENTS) S += added<R>(a);
#pragma GCC unroll 8
  for (int i = 0; i < R && AFTER != NOTHING; ++i) a[i] *= AFTER == MOMENTS ? a[i] : load(with + i * wpix);
  if (AFTER != NOTHING) (AFTER == MOMENTS ? Q : S) += added<R>(a);
}
template <int C, After AFTER>
INLINE void product_part(const Product& z, int from, int to, View o, int rows, int cols, bool add, const Sums& sums) {
  vf w[V];
#pragma GCC unroll 16
  for (int c = 0; c < V; ++c) w[c] = load(z.W + (i64)(from + c) * C + to);
  for (int y = 0; y < rows; ++y) {
    const float *p = z.z.p + y * z.z.row + from, *with = AFTER == DOTS ? sums.with.p + y * sums.with.row + to : nullptr;
    float* q = o.p + y * o.row + to;
    const i64 wpix = sums.with.pix;
    vf S = {}, Q = {};
    int x = 0;
    for (; x + 8 <= cols; x += 8) part_block<C, 8, AFTER>(p + x * C, w, q + x * C, add, with + x * wpix, wpix, S, Q);
    for (; x < cols; ++x) part_block<C, 1, AFTER>(p + x * C, w, q + x * C, add, with + x * wpix, wpix, S, Q);
    if (AFTER != NOTHING) add_to(sums.S + to, S);
    if (AFTER == MOMENTS) add_to(sums.Q + to, Q);
  }
}
template <int C, After AFTER>
static void product_by_parts(const Product& z, View o, int rows, int cols, bool add, const Sums& sums) {
  for (int to = 0; to < C; to += V) {
    for (int from = 0; from + V < C; from += V) product_part<C, NOTHING>(z, from, to, o, rows, cols, add || from, sums);
    product_part<C, AFTER>(z, C - V, to, o, rows, cols, add || C > V, sums);
  }
}
template <After AFTER>
static void product_as(const Product* from, int n, View o, int rows, int cols, int C, bool add, const Sums& sums) {
  const bool parts = MANY_REGISTERS && V >= 8 && n == 1 && from->z.pix == C && o.pix == C;
  if (parts && C == V) product_by_parts<V, AFTER>(*from, o, rows, cols, add, sums);
  else if (parts && C == 2 * V && AFTER == NOTHING) product_by_parts<2 * V, AFTER>(*from, o, rows, cols, add, sums);
  else if (C % (2 * V)) cols % 16 ? product_n<8, 1, AFTER>(from, n, o, rows, cols, C, add, sums)
                             : product_n<16, 1, AFTER>(from, n, o, rows, cols, C, add, sums);
  else product_n<V < 16 ? 4 : 8, 2, AFTER>(from, n, o, rows, cols, C, add, sums);
}
// o = [o +] sum_s z_s W_s
static void product(const Product* from, int n, View o, int rows, int cols, int C, bool add, After after = NOTHING, Sums sums = {}) {
  const Timed timed(POINTWISE_PRODUCTS);
  if (after == MOMENTS) product_as<MOMENTS>(from, n, o, rows, cols, C, add, sums);
  else if (after == DOTS) product_as<DOTS>(from, n, o, rows, cols, C, add, sums);
  else product_as<NOTHING>(from, n, o, rows, cols, C, add, sums);
}

// ---- dense 3x3 convolutions -----------------------------------------------------------------------------------------
// Winograd's F(2x2, 3x3): 2x2 outputs Y = A^T [(G g G^T) . (B^T d B)] A take 16 products of the 4x4 inputs d with weights g, in
// place of 36. All but the halves in G are sums, so rounding errors stay those of the direct sum, up to a small factor. Products are
// summed over channels between the transforms: one product of matrices for each of the 16 numbers.
// Source: Lavin & Gray 2016 (arXiv:1509.09308), section 4.1.
//
// An image is worked on by stripes: rows of tiles that begin at `first`, tile (i, j) at pixel (2 (first + i), 2 j). A spectrum is 16
// planes (rows, across, C), each a cache line longer, so that equal places of all planes do not meet in one set of the cache. Tiles
// at the end of an odd side reach into the border of a padded tile.
constexpr i64 LINE = 16;  // floats
struct Stripe {
  int first, rows, across;
  int tiles() const { return rows * across; }
  i64 plane(int C) const { return (i64)tiles() * C + LINE; }
};
INLINE i64 plane_of_weights(int C) { return (i64)C * C + LINE; }

template <class F> INLINE void each_tile(Stripe s, int C, F f) {  // f(place in the spectrum, y, x, c), of pixels
  for (int c = 0; c < C; c += V)
    for (int i = 0; i < s.rows; ++i)
      for (int j = 0; j < s.across; ++j) f((i64)(i * s.across + j) * C + c, 2 * (s.first + i), 2 * j, c);
}
// B^T d B of the inputs
static void spectrum(Const x, Stripe s, int C, float* o) {
  const i64 step = s.plane(C);
  each_tile(s, C, [&](i64 place, int y, int q, int c) __attribute__((always_inline)) {
    const float* p = x.p + (y - 1) * x.row + (q - 1) * x.pix + c;
    vf t[4][4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const float* b = p + j * x.pix;
      const vf d0 = load(b), d1 = load(b + x.row), d2 = load(b + 2 * x.row), d3 = load(b + 3 * x.row);
      t[0][j] = d0 - d2, t[1][j] = d1 + d2, t[2][j] = d2 - d1, t[3][j] = d1 - d3;
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      float* to = o + place + 4 * i * step;
      store(to, t[i][0] - t[i][2]), store(to + step, t[i][1] + t[i][2]);
      store(to + 2 * step, t[i][2] - t[i][1]), store(to + 3 * step, t[i][1] - t[i][3]);
    }
  });
}
// A g A^T of the gradients of the outputs
static void spectrum_of_outputs(Const g, Stripe s, int C, float* o) {
  const i64 step = s.plane(C);
  each_tile(s, C, [&](i64 place, int y, int q, int c) __attribute__((always_inline)) {
    const float* p = g.p + y * g.row + q * g.pix + c;
    const vf a = load(p), b = load(p + g.pix), d = load(p + g.row), e = load(p + g.row + g.pix);
    const vf left[4] = {a, a + d, a - d, -d}, right[4] = {b, b + e, b - e, -e};
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      float* to = o + place + 4 * i * step;
      store(to, left[i]), store(to + step, left[i] + right[i]);
      store(to + 2 * step, left[i] - right[i]), store(to + 3 * step, -right[i]);
    }
  });
}
// o = [o +] A^T m A; S += sum o, Q += sum o o where they are there
template <bool ADD, bool MOMENTS_TOO>
static void outputs_k(const float* m, Stripe s, View o, int rows, int cols, int C, double* S, double* Q) {
  const i64 step = s.plane(C);
  for (int c = 0; c < C; c += V)
    for (int i = 0; i < s.rows; ++i) {
      vf sum = {}, square = {};
      const int y = 2 * (s.first + i);
      auto put = [&](float* p, vf v) __attribute__((always_inline)) {
        if (ADD) v += load(p);
        store(p, v);
        if (MOMENTS_TOO) sum += v, square += v * v;
      };
      for (int j = 0; j < s.across; ++j) {
        const float* from = m + (i64)(i * s.across + j) * C + c;
        vf top[4], low[4];
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) {
          const vf m0 = load(from + k * step), m1 = load(from + (4 + k) * step), m2 = load(from + (8 + k) * step),
                   m3 = load(from + (12 + k) * step);
          top[k] = m0 + m1 + m2, low[k] = m1 - m2 - m3;
        }
        float* p = o.p + y * o.row + 2 * j * o.pix + c;
        const bool right = 2 * j + 1 < cols;
        put(p, top[0] + top[1] + top[2]);
        if (right) put(p + o.pix, top[1] - top[2] - top[3]);
        if (y + 1 == rows) continue;
        put(p + o.row, low[0] + low[1] + low[2]);
        if (right) put(p + o.row + o.pix, low[1] - low[2] - low[3]);
      }
      if (MOMENTS_TOO) add_to(S + c, sum), add_to(Q + c, square);
    }
}
// The products between the transforms: a plane of one spectrum times that of the weights
static void multiply(const float* from, const float* W, Stripe s, int C, float* to) {
  const i64 step = s.plane(C);
  for (int k = 0; k < 16; ++k) {
    const Product one = {Const(from + k * step, step, C), W + k * plane_of_weights(C)};
    product_as<NOTHING>(&one, 1, {to + k * step, step, C}, 1, s.tiles(), C, false, {});
  }
}
// G g G^T of weights, as `read(channel, number)` gives them, for V channels
template <class F> INLINE void spectrum_of_weights(F read, i64 step, float* o) {
  float g[9][V];
  for (int v = 0; v < V; ++v)
    for (int k = 0; k < 9; ++k) g[k][v] = read(v, k);
  vf t[4][3];
  for (int j = 0; j < 3; ++j) {
    const vf top = load(g[j]), low = load(g[6 + j]), ends = 0.5f * (top + low), middle = 0.5f * load(g[3 + j]);
    t[0][j] = top, t[1][j] = ends + middle, t[2][j] = ends - middle, t[3][j] = low;
  }
  for (int i = 0; i < 4; ++i, o += 4 * step) {
    const vf ends = 0.5f * (t[i][0] + t[i][2]), middle = 0.5f * t[i][1];
    store(o, t[i][0]), store(o + step, ends + middle), store(o + 2 * step, ends - middle), store(o + 3 * step, t[i][2]);
  }
}
// Those of the weights (C, C, 9): from in to out, and in reverse from out to in, for the gradient of the input
static void spectra(const float* g, int C, float* ahead, float* back) {
  const i64 step = plane_of_weights(C);
  for (int a = 0; a < C; ++a)
    for (int b = 0; b < C; b += V) {
      spectrum_of_weights([&](int v, int k) { return g[((i64)(b + v) * C + a) * 9 + k]; }, step, ahead + (i64)a * C + b);
      spectrum_of_weights([&](int v, int k) { return g[((i64)a * C + b + v) * 9 + 8 - k]; }, step, back + (i64)a * C + b);
    }
}
// G^T w G of sums (16, stride) for one weight
INLINE void weights_from(const double* w, i64 stride, float* g) {
  double t[3][4];
  for (int j = 0; j < 4; ++j) {
    const double w0 = w[j * stride], w1 = w[(4 + j) * stride], w2 = w[(8 + j) * stride], w3 = w[(12 + j) * stride];
    t[0][j] = w0 + 0.5 * (w1 + w2), t[1][j] = 0.5 * (w1 - w2), t[2][j] = 0.5 * (w1 + w2) + w3;
  }
  for (int i = 0; i < 3; ++i) {
    g[3 * i] = (float)(t[i][0] + 0.5 * (t[i][1] + t[i][2]));
    g[3 * i + 1] = (float)(0.5 * (t[i][1] - t[i][2]));
    g[3 * i + 2] = (float)(0.5 * (t[i][1] + t[i][2]) + t[i][3]);
  }
}

template <int R, int NV>
static void outer_block(Const a, Const b, int rows, int cols, int C, int ca, int cb, double* G) {
  const int chunk = cols >= 128 ? 1 : 128 / cols;  // pixels that are added in single precision before doubles take over
  for (int y0 = 0; y0 < rows; y0 += chunk) {
    vf acc[R][NV];
    for (int i = 0; i < R; ++i)
      for (int k = 0; k < NV; ++k) acc[i][k] = vf{};
    for (int y = y0; y < rows && y < y0 + chunk; ++y) {
      const float *pa = a.p + y * a.row + ca, *pb = b.p + y * b.row + cb;
      for (int x = 0; x < cols; ++x, pa += a.pix, pb += b.pix) {
        const vf v0 = load(pb), v1 = NV == 2 ? load(pb + V) : vf{};
#pragma GCC unroll 16
        for (int i = 0; i < R; ++i) {
          acc[i][0] += pa[i] * v0;
          if (NV == 2) acc[i][NV - 1] += pa[i] * v1;
        }
      }
    }
    for (int i = 0; i < R; ++i)
      for (int k = 0; k < NV; ++k) add_to(G + (i64)(ca + i) * C + cb + k * V, acc[i][k]);
  }
}
template <int R, int NV>
static void outer_n(Const a, Const b, int rows, int cols, int C, double* G) {
  for (int cb = 0; cb < C; cb += NV * V)
    for (int ca = 0; ca < C; ca += R) outer_block<R, NV>(a, b, rows, cols, C, ca, cb, G);
}
// G += a^T b, (C, C) in double
static void outer(Const a, Const b, int rows, int cols, int C, double* G) {
  if (C % (2 * V) == 0) outer_n<V < 4 ? V : V < 16 ? 4 : 8, 2>(a, b, rows, cols, C, G);
  else outer_n<V, 1>(a, b, rows, cols, C, G);
}

// ---- batch norm -----------------------------------------------------------------------------------------------------
// Rows are added in single precision, then in double.
template <class F>
INLINE void each_pixel(int rows, int cols, int C, F f) {  // f(y, x, c)
  for (int c = 0; c < C; c += V)
    for (int y = 0; y < rows; ++y)
      for (int x = 0; x < cols; ++x) f(y, x, c);
}
INLINE const float* at(Const v, int y, int x, int c) { return v.p + y * v.row + x * v.pix + c; }
INLINE float* at(View v, int y, int x, int c) { return v.p + y * v.row + x * v.pix + c; }

// S += sum x, Q += sum x x
static void moments(Const x, int rows, int cols, int C, double* S, double* Q) {
  const Timed timed(NORMS);
  for (int c = 0; c < C; c += V)
    for (int y = 0; y < rows; ++y) {
      vf s = {}, q = {};
      for (int i = 0; i < cols; ++i) { const vf v = load(at(x, y, i, c)); s += v; q += v * v; }
      add_to(S + c, s), add_to(Q + c, q);
    }
}
// S += sum x
static void sums(Const x, int rows, int cols, int C, double* S) {
  const Timed timed(NORMS);
  for (int c = 0; c < C; c += V)
    for (int y = 0; y < rows; ++y) {
      vf s = {};
      for (int i = 0; i < cols; ++i) s += load(at(x, y, i, c));
      add_to(S + c, s);
    }
}
// D += sum x g
static void dots(Const x, Const g, int rows, int cols, int C, double* D) {
  const Timed timed(NORMS);
  for (int c = 0; c < C; c += V)
    for (int y = 0; y < rows; ++y) {
      vf s = {};
      for (int i = 0; i < cols; ++i) s += load(at(x, y, i, c)) * load(at(g, y, i, c));
      add_to(D + c, s);
    }
}
// D += sum x g over what a mask passes on
static void dots_masked(Const x, Const g, const char* mask, int rows, int cols, int C, double* D) {
  const Timed timed(NORMS);
  for (int c = 0; c < C; c += V)
    for (int y = 0; y < rows; ++y) {
      vf s = {};
      for (int i = 0; i < cols; ++i) s += load_mask(mask + ((i64)y * cols + i) * C + c) * load(at(x, y, i, c)) * load(at(g, y, i, c));
      add_to(D + c, s);
    }
}
// o += a x, of what a mask passes on
static void add_masked(Const x, const char* mask, float a, View o, int rows, int cols, int C) {
  for (int c = 0; c < C; c += V)
    for (int y = 0; y < rows; ++y)
      for (int i = 0; i < cols; ++i)
        store(at(o, y, i, c), load(at(o, y, i, c)) + a * load_mask(mask + ((i64)y * cols + i) * C + c) * load(at(x, y, i, c)));
}
// o = the positive part of (x - mean) scale + shift
static void normalise(Const x, const float* mean, const float* scale, const float* shift, View o, int rows, int cols, int C) {
  const Timed timed(NORMS);
  for (int c = 0; c < C; c += V) {
    const vf m = load(mean + c), s = load(scale + c), b = load(shift + c);
    for (int y = 0; y < rows; ++y)
      for (int i = 0; i < cols; ++i) store(at(o, y, i, c), relu((load(at(x, y, i, c)) - m) * s + b));
  }
}
// o = a g + b x + k
static void combine(Const g, Const x, const float* a, const float* b, const float* k, View o, int rows, int cols, int C) {
  const Timed timed(NORMS);
  for (int c = 0; c < C; c += V) {
    const vf va = load(a + c), vb = load(b + c), vk = load(k + c);
    for (int y = 0; y < rows; ++y)
      for (int i = 0; i < cols; ++i) store(at(o, y, i, c), va * load(at(g, y, i, c)) + vb * load(at(x, y, i, c)) + vk);
  }
}
// g where u is positive, else zero; D += sum g x, S += sum g
static void mask(Const u, Const x, View g, int rows, int cols, int C, double* D, double* S) {
  const Timed timed(NORMS);
  for (int c = 0; c < C; c += V)
    for (int y = 0; y < rows; ++y) {
      vf d = {}, s = {};
      for (int i = 0; i < cols; ++i) {
        const vf v = load(at(u, y, i, c)) > 0.0f ? load(at(g, y, i, c)) : vf{};
        store(at(g, y, i, c), v);
        d += v * load(at(x, y, i, c)), s += v;
      }
      add_to(D + c, d), add_to(S + c, s);
    }
}

// ---- 3x3 pools ------------------------------------------------------------------------------------------------------
struct Window { int y, x, i0, i1, j0, j1; };  // where it begins, and which of its 3 x 3 taps exist
INLINE Window window(int y, int x, int H, int W) {
  return {y, x, y < 0 ? -y : 0, H - y < 3 ? H - y : 3, x < 0 ? -x : 0, W - x < 3 ? W - x : 3};
}

INLINE float share(Window w) { return 1.0f / ((w.i1 - w.i0) * (w.j1 - w.j0)); }

// f(window, y, q) of every pixel; inside an image the window is known to the compiler.
template <class F>
INLINE void each_window(int rows, int cols, int stride, int H, int W, F f) {
  for (int y = 0; y < rows; ++y) {
    const int top = y * stride - 1;
    for (int q = 0; q < cols; ++q) {
      const int left = q * stride - 1;
      if (top >= 0 && top + 3 <= H && left >= 0 && left + 3 <= W) f(Window{top, left, 0, 3, 0, 3}, y, q);
      else f(window(top, left, H, W), y, q);
    }
  }
}

// The mean of the pixels that exist (AVERAGE), the greatest of them and its number in the window, the first of equal ones.
template <bool AVERAGE, bool MAXIMUM>
static void pools_k(Const x, int H, int W, int C, int stride, View mean, View most, int32_t* which, int rows, int cols) {
  for (int c = 0; c < C; c += V)
    each_window(rows, cols, stride, H, W, [&](const Window w, int y, int q) __attribute__((always_inline)) {
      vf sum = {}, top = vf{} - __builtin_inff();
      vi at = {};
#pragma GCC unroll 3
      for (int i = w.i0; i < w.i1; ++i)
#pragma GCC unroll 3
        for (int j = w.j0; j < w.j1; ++j) {
          const vf v = load(x.p + (w.y + i) * x.row + (w.x + j) * x.pix + c);
          sum += v;
          if (MAXIMUM) {
            at = v > top ? vi{} + (i * 3 + j) : at;
            top = v > top ? v : top;
          }
        }
      top = sum == sum ? top : sum;  // what is not a number stays visible
      if (AVERAGE) store(mean.p + y * mean.row + q * mean.pix + c, sum * share(w));
      if (MAXIMUM) store(most.p + y * most.row + q * most.pix + c, top), store(which + ((i64)y * cols + q) * C + c, at);
    });
}
static void pools(bool average, bool maximum, Const x, int H, int W, int C, int stride, View mean, View most, int32_t* which,
                  int rows, int cols) {
  const Timed timed(POOLS);
  if (average && maximum) pools_k<true, true>(x, H, W, C, stride, mean, most, which, rows, cols);
  else if (average) pools_k<true, false>(x, H, W, C, stride, mean, most, which, rows, cols);
  else pools_k<false, true>(x, H, W, C, stride, mean, most, which, rows, cols);
}

// dx = the gradients of the mean, given times the window's share (`mean`), and of the greatest (`most`), each if it is there:
// at stride 1 gathered from the windows that a pixel is in, else scattered to the pixels of a window.
template <bool AVERAGE, bool MAXIMUM>
static void pools_gradient_k(Const mean, Const most, const int32_t* which, int H, int W, int C, int stride, View dx, int rows,
                             int cols) {
  for (int c = 0; c < C; c += V) {
    if (stride == 1) {
      each_window(H, W, 1, H, W, [&](const Window w, int y, int q) __attribute__((always_inline)) {
        vf sum = {};
#pragma GCC unroll 3
        for (int i = w.i0; i < w.i1; ++i)
#pragma GCC unroll 3
          for (int j = w.j0; j < w.j1; ++j) {
            const i64 pixel = (i64)(w.y + i) * cols + w.x + j;
            if (AVERAGE) sum += load(mean.p + (w.y + i) * mean.row + (w.x + j) * mean.pix + c);
            if (MAXIMUM) {
              const vf m = load(most.p + (w.y + i) * most.row + (w.x + j) * most.pix + c);
              sum += load(which + pixel * C + c) == (2 - i) * 3 + (2 - j) ? m : vf{};
            }
          }
        store(dx.p + y * dx.row + q * dx.pix + c, sum);
      });
      continue;
    }
    for (int y = 0; y < H; ++y)
      for (int q = 0; q < W; ++q) store(dx.p + y * dx.row + q * dx.pix + c, vf{});
    each_window(rows, cols, stride, H, W, [&](const Window w, int y, int q) {
      const vf a = AVERAGE ? load(mean.p + y * mean.row + q * mean.pix + c) : vf{};
      const vf m = MAXIMUM ? load(most.p + y * most.row + q * most.pix + c) : vf{};
      const vi at = MAXIMUM ? load(which + ((i64)y * cols + q) * C + c) : vi{};
      for (int i = w.i0; i < w.i1; ++i)
        for (int j = w.j0; j < w.j1; ++j) {
          float* p = dx.p + (w.y + i) * dx.row + (w.x + j) * dx.pix + c;
          vf add = a;
          if (MAXIMUM) add += at == i * 3 + j ? m : vf{};
          store(p, load(p) + add);
        }
    });
  }
}
static void pools_gradient(bool average, bool maximum, Const mean, Const most, const int32_t* which, int H, int W, int C,
                           int stride, View dx, int rows, int cols) {
  if (average && maximum) pools_gradient_k<true, true>(mean, most, which, H, W, C, stride, dx, rows, cols);
  else if (average) pools_gradient_k<true, false>(mean, most, which, H, W, C, stride, dx, rows, cols);
  else pools_gradient_k<false, true>(mean, most, which, H, W, C, stride, dx, rows, cols);
}
