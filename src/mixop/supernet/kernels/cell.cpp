// One searched cell, forward and backward: every edge a weighted sum of its options, computed source node by source node.
//
// What ends in a batch norm becomes a map p of an image; the norm, the mixing weight and the sum over options are then
// y += sum (a / sigma) p + bias, one pass. Batch statistics divide the work into passes over the images, in which a tile stays
// in the cache. Of all that is computed only the values of the nodes outlive the forward pass, and the outputs of dense
// convolutions; the backward pass computes the rest again. Options of a source are worked on in groups whose maps fit into
// the outer cache.
//
// Images are divided among threads by number, and sums over threads are taken in order: equal inputs and threads give equal
// bits.
#include <algorithm>
#include <cmath>
#include <vector>
#include "team.h"
#include "tile.h"

enum Kind { SKIP, AVERAGE, MAXIMUM, POINTWISE, REDUCTION, DEPTHWISE, SEPARABLE, DENSE, REST, IDLE, GIVEN };

extern "C" struct Cell {  // mirrored by mixop.supernet.kernel._Call
  i64 images, height, width, channels, stride, inputs, nodes, terms, threads;
  i64 share;  // operations see one channel of so many: 1 = all; `channels` counts what they see
  i64 batch, update, learn;  // batch statistics, the running ones follow them, gradients of the weights are wanted
  double eps, momentum;
  const i64* info;                // (terms, 7): kind, kernel, dilation, normalised, source, target, place in mix
  float* const* weight;           // (terms, 8): of convolutions, then scale and shift of both batch norms; null where there is none
  float* const* gradient;         // (terms, 8), null where not wanted
  float* const* running;          // (terms, 4): mean and variance of the first batch norm, of the second; null if untracked
  const float* mix;
  double* mix_gradient;
  float* const* value; const i64* pitch;        // of every node, and its floats from pixel to pixel
  float* const* slope; const i64* slope_pitch;  // the same for the gradients of the nodes
  const i64* wanted;                            // whether the gradient of an input node is wanted
  const i64* begun;                             // whether the slope of a node holds a gradient that others are added to
  double* kept;                                 // (terms, 4, C): mean and 1 / sigma of the first batch norm, of the second
  float* dense;                                 // outputs of dense convolutions
  char* workspace;
  const char* const* runs;        // (terms): whether a term adds to an image, by image; null for all
  const char* const* mask;        // (terms): which numbers a skip passes on, by image, pixel and channel; null for all
  const float* const* given;      // (terms): the map of a term of the kind GIVEN
  i64* clock;  // (threads, PARTS): nanoseconds of each part of the work are added; null where nobody asks
};

namespace {

constexpr i64 INNER = (i64)16 << 10;  // bytes of a value between a depthwise convolution and the product behind it
constexpr int STRIPE = 16;            // tiles of a dense convolution that are worked on at once, at least a row of them
constexpr i64 BUDGET = (i64)4 << 20;  // bytes of the maps of a group of options; measured: 2 to 1000 MiB differ little

struct Term {
  Kind kind; int kernel, dilation; bool normalised; int source, target; i64 place;
  float *const *weight, *const *gradient, *const *running;
  const char *runs, *mask; const float* given;
  double* kept;
  float* dense;
  bool in(i64 image) const { return !runs || runs[image]; }
};

bool is_heavy(const Term& t) { return t.kind == DEPTHWISE || t.kind == SEPARABLE; }

// Hands out pieces of the workspace; without one it only counts.
struct Arena {
  char* base; i64 used = 0;
  template <class T> T* take(i64 n) {
    T* p = (T*)((uintptr_t)base + used);
    used += (n * sizeof(T) + 63) / 64 * 64;
    return p;
  }
};

struct Norm { float *mean, *scale, *shift, *a, *b, *c; };  // forward (x - mean) scale + shift; backward a g + b x + c

struct Packed {  // a term's weights as the kernels want them, and its maps
  float *first, *second;       // depthwise (k * k, C)
  float *inner, *outer[2];     // pointwise, from in to out; two for a reduction
  float* back[2];              // of a reduction, from out to in; others take the weights as they are
  float *taps, *taps_back;     // the spectra of a dense convolution
  Norm norm[2];
  float *p, *q;                // the map before the last batch norm, before the first of a separable convolution: all images
  i64 slot, learned;           // where its sums begin, and those for the gradients of its weights
};

int strided(i64 size, i64 stride) { return (int)((size + stride - 1) / stride); }

template <class F> void each_image(const Cell& cell, F f) {  // f(image, thread)
  each_thread((int)cell.threads, [&](int t) {
    spent = cell.clock ? cell.clock + t * PARTS : nullptr;
    for (i64 im = cell.images * t / cell.threads; im < cell.images * (t + 1) / cell.threads; ++im) f(im, t);
  });
}

// Where nodes lie for the operations: what they read, what they add to, and the slopes of what they add to.
struct Nodes {
  std::vector<float*> total, slope;
  std::vector<i64> pitch, slope_pitch;
};

struct Group {  // options that read one node
  const Cell& cell; const Nodes& nodes; const int node;
  const std::vector<Term> terms;
  std::vector<Packed> packed;
  std::vector<int> targets;
  const int C, H, W, stride, rows, cols, T; const i64 N, P; const double M; const bool batch;
  int average = -1, maximum = -1;
  bool pooled = false, separable = false, convolved = false, dense = false;
  i64 sums = 0;
  float *MEAN, *MOST; int32_t* WHICH;  // over all images
  double *sum, *target_sums;           // (T, sums), (T, C)
  float *bias, *none;                  // (T, C), what is added to a target in an image; C zeros
  float* tiles; i64 tile, tile_step;
  float* grids; i64 grid_step;         // spectra for each thread: two of a stripe, and where weights learn two of an image

  Group(const Cell& cell, const Nodes& nodes, int node, const std::vector<Term>& terms, Arena arena)
      : cell(cell), nodes(nodes), node(node), terms(terms), C(cell.channels),
        H(node < cell.inputs ? cell.height : strided(cell.height, cell.stride)),
        W(node < cell.inputs ? cell.width : strided(cell.width, cell.stride)), stride(node < cell.inputs ? cell.stride : 1),
        rows(strided(cell.height, cell.stride)), cols(strided(cell.width, cell.stride)), T(cell.threads), N(cell.images),
        P((i64)rows * cols), M((double)cell.images * rows * cols), batch(cell.batch) {
    lay_out(arena);
  }
  i64 bytes = 0;

  int target_index(int target) const {
    for (size_t i = 0; i < targets.size(); ++i)
      if (targets[i] == target) return (int)i;
    return -1;
  }
  void lay_out(Arena& arena) {
    const i64 CC = (i64)C * C, map = N * P * C;
    for (size_t n = 0; n < terms.size(); ++n) {
      const Term& t = terms[n];
      if (target_index(t.target) < 0) targets.push_back(t.target);
      Packed p = {};
      const i64 depth = (i64)t.kernel * t.kernel * C;
      p.slot = sums;
      sums += 4 * C;
      p.learned = sums;
      if (cell.learn)
        sums += t.kind == SEPARABLE ? 2 * (depth + CC) : t.kind == DEPTHWISE ? depth + CC : t.kind == POINTWISE ? CC
              : t.kind == REDUCTION ? 2 * CC : t.kind == DENSE ? 16 * CC : 0;
      if (is_heavy(t)) p.first = arena.take<float>(depth), p.outer[0] = arena.take<float>(CC);
      if (t.kind == SEPARABLE) p.second = arena.take<float>(depth), p.inner = arena.take<float>(CC), p.q = arena.take<float>(map);
      if (t.kind == POINTWISE) p.outer[0] = arena.take<float>(CC);
      for (int h = 0; h < 2 && t.kind == REDUCTION; ++h) p.outer[h] = arena.take<float>(CC), p.back[h] = arena.take<float>(CC);
      if (t.kind == DENSE) p.taps = arena.take<float>(16 * plane_of_weights(C)), p.taps_back = arena.take<float>(16 * plane_of_weights(C)), p.p = t.dense;
      else if (is_heavy(t) || t.kind == POINTWISE || t.kind == REDUCTION) p.p = arena.take<float>(map);
      for (Norm& norm : p.norm)
        for (float** f : {&norm.mean, &norm.scale, &norm.shift, &norm.a, &norm.b, &norm.c}) *f = arena.take<float>(C);
      if (t.kind == AVERAGE && average < 0) average = n;
      if (t.kind == MAXIMUM && maximum < 0) maximum = n;
      separable |= t.kind == SEPARABLE;
      convolved |= t.kind >= POINTWISE && t.kind <= DENSE;
      dense |= t.kind == DENSE;
      packed.push_back(p);
    }
    pooled = average >= 0 || maximum >= 0;
    MEAN = arena.take<float>(average >= 0 ? map : 0), MOST = arena.take<float>(maximum >= 0 ? map : 0);
    WHICH = arena.take<int32_t>(maximum >= 0 ? map : 0);
    sum = arena.take<double>(T * sums), target_sums = arena.take<double>(T * C);
    bias = arena.take<float>(T * C), none = arena.take<float>(C);
    tile = (padded(H, W, C) + 15) / 16 * 16;
    tile_step = 6 * tile;
    tiles = arena.take<float>(T * tile_step);
    grid_step = dense ? 32 * (stripe(0).plane(C) + (cell.learn ? whole().plane(C) : 0)) : 0;
    grids = arena.take<float>(T * grid_step);
    bytes = arena.used;
  }

  // ---- access ------------------------------------------------------------------------------------------------------
  Const image(i64 im) const {
    const i64 pitch = cell.pitch[node];
    return {cell.value[node] + im * H * W * pitch, W * pitch, pitch};
  }
  View slope(int of, i64 im) const {
    const i64 pitch = nodes.slope_pitch[of];
    return {nodes.slope[of] + im * P * pitch, cols * pitch, pitch};
  }
  View map(float* base, i64 im) const { return {base + im * P * C, (i64)cols * C, C}; }
  float* memory(int number, int thread) const { return tiles + thread * tile_step + number * tile; }
  View flat(int number, int thread) const { return {memory(number, thread), (i64)cols * C, C}; }
  View fine(int number, int thread) const { return inside(memory(number, thread), W, C); }
  View coarse(int number, int thread) const { return inside(memory(number, thread), cols, C); }
  void clear(int number, int thread) const { std::memset(memory(number, thread), 0, padded(H, W, C) * sizeof(float)); }
  // Every second pixel of every second row, from the first or the second on; a signal has one row, which is the first and the second
  View grid(View x, int shift) const { return {x.p + shift * ((H > 1) * x.row + x.pix), 2 * x.row, 2 * x.pix}; }
  double mix(const Term& t) const { return cell.mix[t.place]; }
  bool runs(int n, i64 im) const { return terms[n].in(im); }
  const char* passed(const Term& t, i64 im) const { return t.mask + im * P * C; }
  int last(int n) const { return terms[n].kind == SEPARABLE; }  // its last batch norm
  // Scale and shift of a batch norm that has them
  double scale(int n, int which, int c) const { return terms[n].weight[4 + 2 * which] ? terms[n].weight[4 + 2 * which][c] : 1; }
  double shift(int n, int which, int c) const { return terms[n].weight[5 + 2 * which] ? terms[n].weight[5 + 2 * which][c] : 0; }
  const float* pointwise(const Term& t) const { return t.weight[t.kind == SEPARABLE ? 3 : t.kind == DEPTHWISE ? 1 : 0]; }
  float* pointwise_gradient(const Term& t) const { return t.gradient[t.kind == SEPARABLE ? 3 : t.kind == DEPTHWISE ? 1 : 0]; }

  template <class F> void each_term(F f) const {  // f(number)
    const int count = (int)terms.size();
    each_thread(T, [&](int t) { for (int n = t; n < count; n += T) f(n); });
  }
  double* slot(int n, int thread, i64 at = 0) const { return sum + thread * sums + packed[n].slot + at; }
  double* of_target(int thread) const { return target_sums + thread * C; }
  double* learned(int n, int thread, i64 at = 0) const { return sum + thread * sums + packed[n].learned + at; }
  double gather(const double* first) const {  // over threads, in order
    double s = 0;
    for (int t = 0; t < T; ++t) s += first[t * sums];
    return s;
  }

  // ---- weights and statistics as the kernels want them -----------------------------------------------------------------
  void pack() const {
    each_term([&](int n) {
      const Term& t = terms[n];
      const Packed& p = packed[n];
      const int k2 = t.kernel * t.kernel;
      for (int c = 0; c < C; ++c)
        for (int k = 0; k < k2; ++k) {
          if (p.first) p.first[k * C + c] = t.weight[0][c * k2 + k];
          if (p.second) p.second[k * C + c] = t.weight[2][c * k2 + k];
        }
      if (p.inner) transpose(t.weight[1], C, p.inner);
      if (is_heavy(t) || t.kind == POINTWISE) transpose(pointwise(t), C, p.outer[0]);
      for (int h = 0; h < 2 && t.kind == REDUCTION; ++h) {
        const int at = h * (C / 2), count = C / 2;
        std::memset(p.outer[h], 0, sizeof(float) * C * C), std::memset(p.back[h], 0, sizeof(float) * C * C);
        for (int o = 0; o < count; ++o)
          for (int c = 0; c < C; ++c) p.outer[h][c * C + at + o] = p.back[h][(at + o) * C + c] = t.weight[h][o * C + c];
      }
      if (t.kind == DENSE) spectra(t.weight[0], C, p.taps, p.taps_back);
    });
  }
  static void transpose(const float* W, int C, float* WT) {
    for (int a = 0; a < C; ++a)
      for (int b = 0; b < C; ++b) WT[(i64)b * C + a] = W[(i64)a * C + b];
  }
  // Mean and 1 / sigma from sums and sums of squares, or from the running statistics, which follow.
  void find_statistics(int n, int which, const double* S) const {
    const Term& t = terms[n];
    double *mean = t.kept + 2 * which * C, *inv = mean + C;
    for (int c = 0; c < C; ++c) {
      mean[c] = 0, inv[c] = 1;
      if (!t.normalised) continue;
      if (!batch) {
        mean[c] = t.running[2 * which][c], inv[c] = 1 / std::sqrt(t.running[2 * which + 1][c] + cell.eps);
        continue;
      }
      mean[c] = gather(S + c) / M;
      double variance = gather(S + C + c) / M - mean[c] * mean[c];
      if (variance < 0) variance = 0;
      inv[c] = 1 / std::sqrt(variance + cell.eps);
      if (!cell.update) continue;
      float &m = t.running[2 * which][c], &v = t.running[2 * which + 1][c];
      m = (float)((1 - cell.momentum) * m + cell.momentum * mean[c]);
      v = (float)((1 - cell.momentum) * v + cell.momentum * variance * M / (M - 1));
    }
  }
  void place_statistics(int n, int which) const {
    const double *mean = terms[n].kept + 2 * which * C, *inv = mean + C;
    const Norm& norm = packed[n].norm[which];
    for (int c = 0; c < C; ++c)
      norm.mean[c] = (float)mean[c], norm.scale[c] = (float)(scale(n, which, c) * inv[c]), norm.shift[c] = (float)shift(n, which, c);
  }
  // How the gradient passes a batch norm and its weight: from D = sum g x and S = sum g. Returns the gradient of the weight.
  double find_slope(int n, int which, double weight, const double* D, const double* S) const {
    const Term& t = terms[n];
    const double *mean = t.kept + 2 * which * C, *inv = mean + C;
    const Norm& norm = packed[n].norm[which];
    float *scales = t.gradient[4 + 2 * which], *shifts = t.gradient[5 + 2 * which];
    double all = 0;
    for (int c = 0; c < C; ++c) {
      const double s = gather(S + c), k = (gather(D + c) - mean[c] * s) * inv[c], r = weight * scale(n, which, c) * inv[c];
      const bool moves = batch && t.normalised;  // the statistics with the input
      all += scale(n, which, c) * k + shift(n, which, c) * s;
      if (scales) scales[c] = (float)(weight * k), shifts[c] = (float)(weight * s);
      norm.a[c] = (float)r;
      norm.b[c] = moves ? (float)(-r * inv[c] * k / M) : 0.0f;
      norm.c[c] = moves ? (float)(r * (inv[c] * mean[c] * k - s) / M) : 0.0f;
    }
    return all;
  }

  // ---- the steps of an image -------------------------------------------------------------------------------------------
  void read(i64 im, int thread) const { if (convolved) copy_relu(image(im), fine(0, thread), H, W, C); }
  // The depthwise convolution of the source, of some rows of the result
  void depth(int n, int thread, View o, int from, int count) const {
    const Term& t = terms[n];
    Const x = fine(0, thread);
    x.p += (i64)from * stride * x.row;
    depthwise(t.kernel, t.dilation, stride, x, C, packed[n].first, false, o, count, cols, false);
  }
  void depth(int n, int thread, View o) const { depth(n, thread, o, 0, rows); }
  // A dense convolution: of an image, or of as many rows of tiles as make enough of them for a product
  Stripe whole() const { return {0, strided(rows, 2), strided(cols, 2)}; }
  Stripe stripe(int first) const {
    const Stripe all = whole();
    return {first, std::min(all.rows - first, std::max(1, STRIPE / all.across)), all.across};
  }
  template <class F> void each_stripe(F f) const {
    for (Stripe s = stripe(0); s.rows > 0; s = stripe(s.first + s.rows)) f(s);
  }
  float* of_stripe(int number, int thread) const { return grids + thread * grid_step + number * 16 * stripe(0).plane(C); }
  float* of_whole(int number, int thread) const { return of_stripe(2, thread) + number * 16 * whole().plane(C); }
  void dense_maps(i64 im, int thread) const {  // of all terms, which read the same spectrum
    const Timed timed(DENSE_PRODUCTS);
    float *from = of_stripe(0, thread), *to = of_stripe(1, thread);
    each_stripe([&](Stripe s) {
      spectrum(fine(0, thread), s, C, from);
      for (int n = 0; n < (int)terms.size(); ++n) {
        if (terms[n].kind != DENSE) continue;
        multiply(from, packed[n].taps, s, C, to);
        double* S = slot(n, thread);
        if (batch && terms[n].normalised) outputs_k<false, true>(to, s, map(packed[n].p, im), rows, cols, C, S, S + C);
        else outputs_k<false, false>(to, s, map(packed[n].p, im), rows, cols, C, nullptr, nullptr);
      }
    });
  }
  void dense_gradient(int n, int thread) const {  // from that of the map to that of the tile of the source
    const Timed timed(DENSE_PRODUCTS);
    float *from = of_stripe(0, thread), *to = of_stripe(1, thread);
    each_stripe([&](Stripe s) {
      spectrum(coarse(3, thread), s, C, from);
      multiply(from, packed[n].taps_back, s, C, to);
      outputs_k<true, false>(to, s, fine(4, thread), rows, cols, C, nullptr, nullptr);
    });
  }
  void dense_source(int thread) const {  // what the gradients of all weights share
    const Timed timed(MATRIX_GRADIENTS);
    spectrum(fine(0, thread), whole(), C, of_whole(0, thread));
  }
  void dense_weights(int n, int thread) const {
    const Timed timed(MATRIX_GRADIENTS);
    const Stripe s = whole();
    const float* x = of_whole(0, thread);
    float* g = of_whole(1, thread);
    spectrum_of_outputs(coarse(3, thread), s, C, g);
    const i64 line = (i64)s.across * C, step = s.plane(C);
    for (int k = 0; k < 16; ++k)
      ::outer(Const(g + k * step, line, C), Const(x + k * step, line, C), s.rows, s.across, C, learned(n, thread, (i64)k * C * C));
  }
  void outer(Const a, Const b, double* G) const {
    const Timed timed(MATRIX_GRADIENTS);
    ::outer(a, b, rows, cols, C, G);
  }
  // What a product sums over its result, for the batch norm behind it: in a forward pass its moments, in a backward pass the
  // products with the slope of the target
  struct Summed { After after; Sums sums; };
  Summed moments_of(int n, int thread, int which) const {
    double* S = slot(n, thread, 2 * which * C);
    return {batch && terms[n].normalised ? MOMENTS : NOTHING, {S, S + C, {}}};
  }
  Summed dots_of(int n, i64 im, int thread) const {
    return {runs(n, im) ? DOTS : NOTHING, {slot(n, thread), nullptr, slope(terms[n].target, im)}};
  }

  // From a depthwise convolution, d(o, first row, rows), to the product behind it, by as many rows as stay in the inner cache
  template <class F> void by_rows(int thread, const float* W, View o, const Summed& s, F d) const {
    const int step = std::max(1, (int)(INNER / ((i64)cols * C * sizeof(float))));
    for (int y = 0; y < rows; y += step) {
      const int count = std::min(step, rows - y);
      const Product from = {flat(2, thread), W};
      d(flat(2, thread), y, count);
      Sums sums = s.sums;
      sums.with.p += y * sums.with.row;
      product(&from, 1, {o.p + y * o.row, o.row, o.pix}, count, cols, C, false, s.after, sums);
    }
  }
  // From the tile of the source to the first map of a term: q of a separable convolution, p of any other but a dense one
  void first_map(int n, i64 im, int thread, const Summed& s) const {
    const Term& t = terms[n];
    const Packed& p = packed[n];
    const View r = fine(0, thread), o = map(t.kind == SEPARABLE ? p.q : p.p, im);
    Product from[2];
    int count = 1;
    if (is_heavy(t))
      return by_rows(thread, t.kind == SEPARABLE ? p.inner : p.outer[0], o, s,
                     [&](View z, int y, int height) { depth(n, thread, z, y, height); });
    if (t.kind == POINTWISE) from[0] = {r, p.outer[0]};
    else if (t.kind == REDUCTION) from[0] = {grid(r, 0), p.outer[0]}, from[1] = {grid(r, 1), p.outer[1]}, count = 2;
    else return;
    product(from, count, o, rows, cols, C, false, s.after, s.sums);
  }
  // From q to the padded tile 1 and from there to p
  void second_input(int n, i64 im, int thread) const {
    const Norm& norm = packed[n].norm[0];
    normalise(map(packed[n].q, im), norm.mean, norm.scale, norm.shift, coarse(1, thread), rows, cols, C);
  }
  void second_depth(int n, int thread, View o, int from, int count) const {
    Const x = coarse(1, thread);
    x.p += from * x.row;
    depthwise(terms[n].kernel, 1, 1, x, C, packed[n].second, false, o, count, cols, false);
  }
  void second_depth(int n, int thread, View o) const { second_depth(n, thread, o, 0, rows); }
  void second_map(int n, i64 im, int thread, const Summed& s) const {
    second_input(n, im, thread);
    by_rows(thread, packed[n].outer[0], map(packed[n].p, im), s,
            [&](View z, int y, int height) { second_depth(n, thread, z, y, height); });
  }
  void pool(i64 im) const {
    pools(average >= 0, maximum >= 0, image(im), H, W, C, stride, map(MEAN, im), map(MOST, im), WHICH + im * P * C, rows, cols);
  }
  Const map_of(int n, i64 im) const {
    const Kind kind = terms[n].kind;
    if (kind == SKIP) return image(im);
    if (kind == GIVEN) return {terms[n].given + im * P * C, (i64)cols * C, C};
    return map(kind == AVERAGE ? MEAN : kind == MAXIMUM ? MOST : packed[n].p, im);
  }

  // ---- forward ---------------------------------------------------------------------------------------------------------
  void forward(const std::vector<char>& begun) const {
    const int count = (int)terms.size();
    pack();
    std::memset(sum, 0, T * sums * sizeof(double));
    for (int t = 0; t < T; ++t) clear(0, t), clear(1, t);
    each_image(cell, [&](i64 im, int thread) {
      read(im, thread);
      if (pooled) pool(im);
      if (dense) dense_maps(im, thread);
      for (int n = 0; n < count; ++n) {
        const Term& t = terms[n];
        first_map(n, im, thread, moments_of(n, thread, 0));
        if (batch && t.normalised && (n == average || n == maximum))  // edges share the pools of their source
          moments(map_of(n, im), rows, cols, C, slot(n, thread), slot(n, thread, C));
      }
    });
    each_term([&](int n) {
      const Kind kind = terms[n].kind;
      find_statistics(n, 0, slot(kind == AVERAGE ? average : kind == MAXIMUM ? maximum : n, 0));
      place_statistics(n, 0);
    });
    if (separable) {
      each_image(cell, [&](i64 im, int thread) {
        for (int n = 0; n < count; ++n) {
          if (terms[n].kind != SEPARABLE) continue;
          second_map(n, im, thread, moments_of(n, thread, 1));
        }
      });
      each_term([&](int n) { if (terms[n].kind == SEPARABLE) find_statistics(n, 1, slot(n, 0, 2 * C)); });
    }
    each_term([&](int n) {  // what multiplies a map, and what is added
      const int which = last(n);
      const double* k = terms[n].kept + 2 * which * C;
      const Norm& norm = packed[n].norm[1];
      for (int c = 0; c < C; ++c) {
        norm.a[c] = terms[n].kind == IDLE ? 0.0f : (float)(mix(terms[n]) * scale(n, which, c) * k[C + c]);
        norm.c[c] = terms[n].kind == IDLE ? (float)mix(terms[n]) : (float)(mix(terms[n]) * shift(n, which, c) - norm.a[c] * k[c]);
      }
    });
    each_image(cell, [&](i64 im, int thread) {
      for (int target : targets) write(target, im, thread, begun[target]);
    });
  }
  void write(int target, i64 im, int thread, bool add) const {  // what the group adds to one target in one image
    const Timed timed(NODES);
    const i64 pitch = nodes.pitch[target];
    const View o = {nodes.total[target] + im * P * pitch, cols * pitch, pitch};
    float* constant = bias + thread * C;
    struct Weighed { const float* a; Const x; };
    std::vector<Weighed> maps;
    std::memset(constant, 0, C * sizeof(float));
    for (int n = 0; n < (int)terms.size(); ++n) {
      if (terms[n].target != target || !runs(n, im)) continue;
      for (int c = 0; c < C; ++c) constant[c] += packed[n].norm[1].c[c];
      if (terms[n].kind != IDLE && !terms[n].mask) maps.push_back({packed[n].norm[1].a, map_of(n, im)});
    }
    for (int y = 0; y < rows; ++y)
      for (int q = 0; q < cols; ++q)
        for (int c = 0; c < C; c += V) {
          float* p = o.p + y * o.row + q * o.pix + c;
          vf v = load(constant + c);
          if (add) v += load(p);
          for (const Weighed& m : maps) v += load(m.a + c) * load(m.x.p + y * m.x.row + q * m.x.pix + c);
          store(p, v);
        }
    for (const Term& t : terms)
      if (t.mask && t.target == target && t.in(im)) add_masked(image(im), passed(t, im), (float)mix(t), o, rows, cols, C);
  }

  // ---- backward --------------------------------------------------------------------------------------------------------
  void backward(bool wanted, bool add) const {
    const int count = (int)terms.size();
    const i64 CC = (i64)C * C;
    pack();
    std::memset(sum, 0, T * sums * sizeof(double));
    std::memset(none, 0, C * sizeof(float));
    for (int t = 0; t < T; ++t) clear(0, t), clear(1, t), clear(3, t);
    each_term([&](int n) { place_statistics(n, 0); });
    each_image(cell, [&](i64 im, int thread) {  // the maps again, and what the mixing weights multiply
      read(im, thread);
      if (pooled) pool(im);
      for (int n = 0; n < count; ++n) {
        const Kind kind = terms[n].kind;
        first_map(n, im, thread, kind == SEPARABLE ? Summed{NOTHING, {}} : dots_of(n, im, thread));
        if (kind == SEPARABLE) second_map(n, im, thread, dots_of(n, im, thread));
        const bool summed = kind >= POINTWISE && kind < DENSE;
        if (kind == IDLE || summed || !runs(n, im)) continue;
        const Const g = slope(terms[n].target, im);
        if (terms[n].mask) dots_masked(image(im), g, passed(terms[n], im), rows, cols, C, slot(n, thread));
        else dots(map_of(n, im), g, rows, cols, C, slot(n, thread));
      }
      double* total = of_target(thread);
      for (int target : targets) {
        std::memset(total, 0, C * sizeof(double));
        ::sums(slope(target, im), rows, cols, C, total);
        for (int n = 0; n < count; ++n)
          for (int c = 0; c < C && terms[n].target == target && runs(n, im); ++c) slot(n, thread, C)[c] += total[c];
      }
    });
    each_term([&](int n) {
      const Term& t = terms[n];
      double* const D = slot(n, 0);
      if (t.kind != IDLE) cell.mix_gradient[t.place] += find_slope(n, last(n), mix(t), D, D + C);
      else for (int c = 0; c < C; ++c) cell.mix_gradient[t.place] += gather(D + C + c);
    });
    // Edges share the pools of their source.
    for (int n = 0; n < count; ++n) {
      const int main = terms[n].kind == AVERAGE ? average : terms[n].kind == MAXIMUM ? maximum : n;
      for (int c = 0; c < C && main != n; ++c) {
        packed[main].norm[0].b[c] += packed[n].norm[0].b[c];
        packed[main].norm[0].c[c] += packed[n].norm[0].c[c];
      }
    }
    if (!wanted && !cell.learn) return;
    if (separable) {
      each_image(cell, [&](i64 im, int thread) {
        for (int n = 0; n < count; ++n)
          if (terms[n].kind == SEPARABLE) second_gradient(n, im, thread);
      });
      each_term([&](int n) { if (terms[n].kind == SEPARABLE) find_slope(n, 0, 1, slot(n, 0, 2 * C), slot(n, 0, 3 * C)); });
    }
    each_image(cell, [&](i64 im, int thread) {
      read(im, thread);
      if (wanted && convolved) clear(4, thread);
      if (dense && cell.learn) dense_source(thread);
      for (int n = 0; n < count; ++n) first_gradient(n, im, thread, wanted);
      if (wanted) finish_gradient(im, thread, add);
    });
    if (cell.learn) each_term([&](int n) { write_gradients(n, CC); });
  }
  // From the gradient of the target to that of the inner batch norm, which takes the place of p
  void second_gradient(int n, i64 im, int thread) const {
    const Term& t = terms[n];
    const Packed& p = packed[n];
    const View u = coarse(1, thread), dp = flat(2, thread), dz = coarse(3, thread), du = map(p.p, im);
    combine(slope(t.target, im), du, runs(n, im) ? p.norm[1].a : none, p.norm[1].b, p.norm[1].c, dp, rows, cols, C);
    second_input(n, im, thread);
    const Product from = {dp, pointwise(t)};
    product(&from, 1, dz, rows, cols, C, false);
    depthwise(t.kernel, 1, 1, dz, C, p.second, true, du, rows, cols, false);
    mask(u, map(p.q, im), du, rows, cols, C, slot(n, thread, 2 * C), slot(n, thread, 3 * C));
    if (!cell.learn) return;
    second_depth(n, thread, flat(4, thread));
    outer(dp, flat(4, thread), learned(n, thread));
    depthwise_weights(t.kernel, 1, 1, u, C, dz, learned(n, thread, (i64)C * C), rows, cols);
  }
  void first_gradient(int n, i64 im, int thread, bool wanted) const {
    const Term& t = terms[n];
    const Packed& p = packed[n];
    if (t.kind == SKIP || t.kind == AVERAGE || t.kind == MAXIMUM || t.kind == IDLE || t.kind == GIVEN) return;
    const i64 CC = (i64)C * C, at = t.kind == SEPARABLE ? CC + (i64)t.kernel * t.kernel * C : 0;
    const View r = fine(0, thread), dr = fine(4, thread), dz = coarse(3, thread);
    const View dp = t.kind == DENSE ? dz : flat(2, thread);
    const Norm& norm = p.norm[0];
    if (t.kind == SEPARABLE) combine(map(p.p, im), map(p.q, im), norm.a, norm.b, norm.c, dp, rows, cols, C);
    else combine(slope(t.target, im), map(p.p, im), runs(n, im) ? norm.a : none, norm.b, norm.c, dp, rows, cols, C);
    Product from[1] = {{dp, t.kind == SEPARABLE ? t.weight[1] : pointwise(t)}};
    if (is_heavy(t)) {
      product(from, 1, dz, rows, cols, C, false);
      if (wanted && stride == 1) depthwise(t.kernel, t.dilation, 1, dz, C, p.first, true, dr, rows, cols, true);
      else if (wanted && t.dilation == 2) depthwise(t.kernel, 1, 1, dz, C, p.first, true, grid(dr, 0), rows, cols, true);
      else if (wanted) depthwise_scatter(t.kernel, t.dilation, stride, dr, C, p.first, dz, rows, cols);
      if (!cell.learn) return;
      depth(n, thread, flat(5, thread));
      outer(dp, flat(5, thread), learned(n, thread, at));
      depthwise_weights(t.kernel, t.dilation, stride, r, C, dz, learned(n, thread, at + CC), rows, cols);
    } else if (t.kind == POINTWISE) {
      if (wanted) product(from, 1, dr, rows, cols, C, true);
      if (cell.learn) outer(dp, r, learned(n, thread));
    } else if (t.kind == REDUCTION) {
      for (int h = 0; h < 2; ++h) {
        from[0].W = p.back[h];
        if (wanted) product(from, 1, grid(dr, h), rows, cols, C, true);
        if (cell.learn) outer(dp, grid(r, h), learned(n, thread, h * CC));
      }
    } else {
      if (wanted) dense_gradient(n, thread);
      if (cell.learn) dense_weights(n, thread);
    }
  }
  // The gradient past the ReLU, and that of the options without one
  void finish_gradient(i64 im, int thread, bool add) const {
    const View dr = fine(4, thread), dx = {memory(1, thread), (i64)W * C, C};
    const Const x = image(im);
    bool plain = false;
    if (pooled) {
      const Timed timed(POOLS);
      plain = true;
      const View mean = flat(2, thread), most = flat(5, thread);
      for (int y = 0; y < rows; ++y)
        for (int q = 0; q < cols; ++q)
          for (int c = 0; c < C; c += V) {
            const i64 at = im * P * C + ((i64)y * cols + q) * C + c;
            const float part = share(window(y * stride - 1, q * stride - 1, H, W));
            vf a = {}, m = {};
            if (average >= 0) a = load(packed[average].norm[0].b + c) * load(MEAN + at) + load(packed[average].norm[0].c + c);
            if (maximum >= 0) m = load(packed[maximum].norm[0].b + c) * load(MOST + at) + load(packed[maximum].norm[0].c + c);
            for (int n = 0; n < (int)terms.size(); ++n) {
              if ((terms[n].kind != AVERAGE && terms[n].kind != MAXIMUM) || !runs(n, im)) continue;
              const View dy = slope(terms[n].target, im);
              (terms[n].kind == AVERAGE ? a : m) += load(packed[n].norm[0].a + c) * load(dy.p + y * dy.row + q * dy.pix + c);
            }
            if (average >= 0) store(mean.p + y * mean.row + q * C + c, a * part);
            if (maximum >= 0) store(most.p + y * most.row + q * C + c, m);
          }
      pools_gradient(average >= 0, maximum >= 0, mean, most, WHICH + im * P * C, H, W, C, stride, dx, rows, cols);
    }
    const Timed timed(NODES);
    struct Skip { float a; View dy; const char* mask; };
    std::vector<Skip> skips;
    for (int n = 0; n < (int)terms.size(); ++n)
      if (terms[n].kind == SKIP && runs(n, im))
        skips.push_back({(float)mix(terms[n]), slope(terms[n].target, im), terms[n].mask ? passed(terms[n], im) : nullptr});
    const i64 pitch = cell.slope_pitch[node];
    for (int y = 0; y < H; ++y)
      for (int q = 0; q < W; ++q)
        for (int c = 0; c < C; c += V) {
          float* o = cell.slope[node] + ((im * H + y) * W + q) * pitch + c;
          vf v = {};
          if (convolved) v = load(x.p + y * x.row + q * x.pix + c) > 0.0f ? load(dr.p + y * dr.row + q * C + c) : vf{};
          if (plain) v += load(dx.p + y * dx.row + q * C + c);
          for (const Skip& s : skips) {
            const vf g = load(s.dy.p + y * s.dy.row + q * s.dy.pix + c);
            v += s.a * (s.mask ? g * load_mask(s.mask + ((i64)y * cols + q) * C + c) : g);
          }
          store(o, add ? load(o) + v : v);
        }
  }
  void write_gradients(int n, i64 CC) const {
    const Term& t = terms[n];
    const i64 k2 = (i64)t.kernel * t.kernel;
    auto matrix = [&](float* o, i64 at, i64 first, i64 size) {
      for (i64 i = 0; i < size; ++i) o[i] = (float)gather(learned(n, 0, at + first + i));
    };
    auto depth = [&](float* o, i64 at) {
      for (i64 k = 0; k < k2; ++k)
        for (i64 c = 0; c < C; ++c) o[c * k2 + k] = (float)gather(learned(n, 0, at + k * C + c));
    };
    if (t.kind == SEPARABLE) {
      matrix(t.gradient[3], 0, 0, CC), depth(t.gradient[2], CC);
      matrix(t.gradient[1], CC + k2 * C, 0, CC), depth(t.gradient[0], 2 * CC + k2 * C);
    } else if (t.kind == DEPTHWISE) {
      matrix(t.gradient[1], 0, 0, CC), depth(t.gradient[0], CC);
    } else if (t.kind == POINTWISE) {
      matrix(t.gradient[0], 0, 0, CC);
    } else if (t.kind == REDUCTION) {
      matrix(t.gradient[0], 0, 0, CC / 2), matrix(t.gradient[1], CC, CC / 2, CC / 2);
    } else if (t.kind == DENSE) {
      double* first = learned(n, 0);
      for (int u = 1; u < T; ++u)  // over threads, in order
        for (i64 i = 0; i < 16 * CC; ++i) first[i] += learned(n, u)[i];
      for (i64 i = 0; i < CC; ++i) weights_from(first + i, CC, t.gradient[0] + 9 * i);
    }
  }
};

std::vector<Term> read_terms(const Cell& cell) {
  std::vector<Term> all;
  const i64 C = cell.channels, map = cell.images * strided(cell.height, cell.stride) * strided(cell.width, cell.stride) * C;
  float* dense = cell.dense;
  for (i64 n = 0; n < cell.terms; ++n) {
    const i64* i = cell.info + 7 * n;
    all.push_back({(Kind)i[0], (int)i[1], (int)i[2], i[3] != 0, (int)i[4], (int)i[5], i[6], cell.weight + 8 * n,
                   cell.gradient + 8 * n, cell.running + 4 * n, cell.runs[n], cell.mask[n], cell.given[n], cell.kept + 4 * C * n,
                   dense});
    if (all.back().kind == DENSE) dense += map;
  }
  return all;
}

// The options of a node: those with a map for each edge, target by target, until their maps fill the budget
std::vector<std::vector<Term>> groups(const Cell& cell, int node, const std::vector<Term>& all) {
  const i64 map = 4 * cell.channels * cell.images * strided(cell.height, cell.stride) * strided(cell.width, cell.stride);
  std::vector<std::vector<Term>> found(1);
  i64 used = 0;
  for (const Term& t : all)
    if (t.source == node && !is_heavy(t) && t.kind != REST) found[0].push_back(t), used += t.kind == POINTWISE || t.kind == REDUCTION ? map : 0;
  for (int target = node + 1; target < cell.nodes; ++target) {
    std::vector<Term> edge;
    i64 more = 0;
    for (const Term& t : all)
      if (t.source == node && t.target == target && is_heavy(t)) edge.push_back(t), more += t.kind == SEPARABLE ? 2 * map : map;
    if (edge.empty()) continue;
    if (used > 0 && used + more > BUDGET) found.emplace_back(), used = 0;
    found.back().insert(found.back().end(), edge.begin(), edge.end());
    used += more;
  }
  return found;
}

// Partial channels: operations see the first 1/k of a node's channels; the rest goes past them, weighted by edge, pooled
// where the cell is strided, and all are shuffled: channel j k + g of a node is number j of the g-th of k parts.
struct Whole {
  const Cell& cell; const std::vector<Term>& all; Nodes nodes;
  const int rows, cols, k, C, R; const i64 P;  // R channels are not seen
  const bool strided_inputs;
  std::vector<float*> apart, pooled;  // slopes of computed nodes, parts side by side; the pooled rests of inputs
  double* dots_;                      // (threads, R)
  i64 used;

  Whole(const Cell& cell, const std::vector<Term>& all, bool backward)
      : cell(cell), all(all), rows(strided(cell.height, cell.stride)), cols(strided(cell.width, cell.stride)), k((int)cell.share),
        C((int)cell.channels), R((k - 1) * C), P((i64)rows * cols), strided_inputs(cell.stride == 2) {
    Arena arena{cell.workspace};
    dots_ = arena.take<double>(cell.threads * R);
    for (int node = 0; node < cell.nodes; ++node) {
      const bool given = node < cell.inputs;
      float *total = cell.value ? cell.value[node] : nullptr, *slope = cell.slope ? cell.slope[node] : nullptr;
      i64 pitch = cell.value ? cell.pitch[node] : 0, slope_pitch = cell.slope ? cell.slope_pitch[node] : 0;
      apart.push_back(nullptr), pooled.push_back(nullptr);
      if (k > 1 && given && strided_inputs) pooled[node] = arena.take<float>(cell.images * P * R);
      if (k > 1 && !given && !backward) total = arena.take<float>(cell.images * P * C), pitch = C;
      if (k > 1 && !given && backward) slope = apart[node] = arena.take<float>(cell.images * P * C * k), slope_pitch = C * k;
      nodes.total.push_back(total), nodes.pitch.push_back(pitch);
      nodes.slope.push_back(slope), nodes.slope_pitch.push_back(slope_pitch);
    }
    used = arena.used;
  }
  Arena rest_of_workspace() const { return {cell.workspace, used}; }

  // What an edge passes on of an image without an operation
  Const rest(int node, i64 im) const {
    if (pooled[node]) return {pooled[node] + im * P * R, (i64)cols * R, R};
    const i64 pitch = cell.pitch[node];
    return {cell.value[node] + C + im * P * pitch, cols * pitch, pitch};
  }
  void pool_inputs() const {  // windows of 2 x 2 pixels, those at the end may be smaller
    for (int node = 0; node < cell.inputs && k > 1 && strided_inputs; ++node)
      each_image(cell, [&](i64 im, int) {
        for (int y = 0; y < rows; ++y)
          for (int x = 0; x < cols; ++x)
            for (int c = 0; c < R; c += V) {
              vf top = {};
              window_top(node, im, y, x, c, top);
              store(pooled[node] + (im * P + (i64)y * cols + x) * R + c, top);
            }
      });
  }
  // The greatest of a window and which it is, the first of equal ones; what is not a number wins
  vi window_top(int node, i64 im, int y, int x, int c, vf& top) const {
    const i64 pitch = cell.pitch[node];
    vi at = {};
    bool first = true;
    for (int i = 0; i < 2 && 2 * y + i < cell.height; ++i)
      for (int j = 0; j < 2 && 2 * x + j < cell.width; ++j) {
        const vf v = load(cell.value[node] + C + ((im * cell.height + 2 * y + i) * cell.width + 2 * x + j) * pitch + c);
        const vi wins = first ? vi{} - 1 : (v > top) | (v != v);
        top = first ? v : (wins ? v : top);
        at = wins ? vi{} + (2 * i + j) : at;
        first = false;
      }
    return at;
  }
  void finish(int node, bool begun) const {  // the node from its parts
    if (k == 1) return;
    const i64 pitch = cell.pitch[node];
    each_image(cell, [&](i64 im, int) {
      std::vector<float> part(R);
      std::vector<std::pair<float, Const>> from;
      for (const Term& t : all)
        if (t.kind == REST && t.target == node && t.in(im)) from.push_back({cell.mix[t.place], rest(t.source, im)});
      for (int y = 0; y < rows; ++y)
        for (int x = 0; x < cols; ++x) {
          for (int c = 0; c < R; c += V) {
            vf sum = {};
            for (const auto& f : from) sum += f.first * load(at(f.second, y, x, c));
            store(part.data() + c, sum);
          }
          const i64 pixel = im * P + (i64)y * cols + x;
          float* o = cell.value[node] + pixel * pitch;
          for (int j = 0; j < C; ++j) o[j * k] = begun ? nodes.total[node][pixel * C + j] : 0.0f;
          for (int g = 1; g < k; ++g)
            for (int j = 0; j < C; ++j) o[j * k + g] = part[(g - 1) * C + j];
        }
    });
  }
  void take_apart(int node) const {  // the slope of a computed node
    if (k == 1) return;
    const i64 pitch = cell.slope_pitch[node];
    each_image(cell, [&](i64 im, int) {
      for (i64 p = im * P; p < (im + 1) * P; ++p)
        for (int j = 0; j < C; ++j)
          for (int g = 0; g < k; ++g) apart[node][p * C * k + g * C + j] = cell.slope[node][p * pitch + j * k + g];
    });
  }
  // The slopes of what is not seen of a node, and of the weights of its edges
  void backward(int node) const {
    if (k == 1) return;
    const bool given = node < cell.inputs, wanted = !given || cell.wanted[node];
    auto beside = [&](const Term& t, i64 im) {  // what passed by, in the target
      return Const(nodes.slope[t.target] + C + im * P * C * k, (i64)cols * C * k, C * k);
    };
    for (const Term& t : all) {
      if (t.kind != REST || t.source != node) continue;
      std::memset(dots_, 0, sizeof(double) * cell.threads * R);
      each_image(cell, [&](i64 im, int thread) {
        if (t.in(im)) dots(rest(node, im), beside(t, im), rows, cols, R, dots_ + thread * R);
      });
      for (i64 i = 0; i < cell.threads * R; ++i) cell.mix_gradient[t.place] += dots_[i];
    }
    if (!wanted) return;
    const i64 pitch = cell.slope_pitch[node], h = given ? cell.height : rows, w = given ? cell.width : cols;
    each_image(cell, [&](i64 im, int) {
      std::vector<std::pair<float, Const>> to;
      for (const Term& t : all)
        if (t.kind == REST && t.source == node && t.in(im)) to.push_back({cell.mix[t.place], beside(t, im)});
      float* o = cell.slope[node] + C + im * h * w * pitch;
      for (i64 p = 0; p < h * w && given; ++p) std::memset(o + p * pitch, 0, sizeof(float) * R);
      for (int y = 0; y < rows; ++y)
        for (int x = 0; x < cols; ++x)
          for (int c = 0; c < R; c += V) {
            vf sum = {};
            for (const auto& f : to) sum += f.first * load(at(f.second, y, x, c));
            if (!pooled[node]) {
              float* q = o + ((i64)y * cols + x) * pitch + c;
              store(q, load(q) + sum);
              continue;
            }
            vf top = {};
            const vi which = window_top(node, im, y, x, c, top);
            for (int i = 0; i < 2 && 2 * y + i < h; ++i)
              for (int j = 0; j < 2 && 2 * x + j < w; ++j)
                store(o + ((2 * y + i) * w + 2 * x + j) * pitch + c, which == 2 * i + j ? sum : vf{});
          }
    });
  }
};

void zero(float* p, i64 pitch, i64 pixels, i64 channels) {
  for (i64 i = 0; i < pixels; ++i) std::memset(p + i * pitch, 0, channels * sizeof(float));
}

}  // namespace

extern "C" {

i64 mixop_cell_workspace(const Cell* cell) {  // bytes
  const std::vector<Term> all = read_terms(*cell);
  const Whole ahead(*cell, all, false), back(*cell, all, true);
  const i64 before = ahead.used > back.used ? ahead.used : back.used;
  i64 most = before;
  for (int node = 0; node < cell->nodes; ++node)
    for (const auto& terms : groups(*cell, node, all)) {
      const Group group(*cell, ahead.nodes, node, terms, Arena{nullptr, before});
      if (group.bytes > most) most = group.bytes;
    }
  return most;
}

void mixop_cell_forward(const Cell* cell) {
  const std::vector<Term> all = read_terms(*cell);
  const Whole whole(*cell, all, false);
  std::vector<char> begun(cell->nodes, 0);
  whole.pool_inputs();
  for (int node = 0; node < cell->nodes; ++node) {
    if (node >= cell->inputs) {
      if (!begun[node] && cell->share == 1) zero(cell->value[node], cell->pitch[node], cell->images * whole.P, cell->channels);
      whole.finish(node, begun[node]);
    }
    for (const auto& terms : groups(*cell, node, all)) {
      if (terms.empty()) continue;
      const Group group(*cell, whole.nodes, node, terms, whole.rest_of_workspace());
      group.forward(begun);
      for (int target : group.targets) begun[target] = 1;
    }
  }
}

void mixop_cell_backward(const Cell* cell) {
  const std::vector<Term> all = read_terms(*cell);
  const Whole whole(*cell, all, true);
  whole.pool_inputs();
  for (int node = (int)cell->nodes - 1; node >= 0; --node) {
    const bool given = node < cell->inputs, wanted = !given || cell->wanted[node];
    bool begun = cell->begun[node];
    for (const auto& terms : groups(*cell, node, all)) {
      if (terms.empty()) continue;
      Group(*cell, whole.nodes, node, terms, whole.rest_of_workspace()).backward(wanted, begun);
      begun = true;
    }
    const i64 pixels = given ? cell->height * cell->width : whole.P;
    if (!begun && wanted) zero(cell->slope[node], cell->slope_pitch[node], cell->images * pixels, cell->channels);
    whole.backward(node);
    if (!given) whole.take_apart(node);
  }
}
}
