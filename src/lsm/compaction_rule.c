/*
 * compaction_rule.c: which files of one partition are merged: the strategies, on sizes alone.
 *
 * Sizes are rows, estimates included, ascending; what comes out are runs of them. Both strategies
 * are the reference's:
 *
 *   basic        consecutive groups of `batch` files; only full groups.
 *   size_ratio   a group is worth merging when the others have at least `ratio` times the rows of
 *                the largest. The largest files are left out until the rest is. A rest that one job
 *                can read is one job; a larger one is looked at through a window of `batch` files,
 *                which moves on by one file where it is not worth it and by its whole width where
 *                it is. The last windows may be narrower. Jobs beyond those that may run at once
 *                are left out from the end.
 *
 * With running sums each question is one comparison, so a partition of n files costs O(n).
 */
#include "lsm/lsm_int.h"

#include <stdlib.h>

/* Rows of sizes [begin, end) are sums[end] - sums[begin]; sums are of 128 bits because rows of one
 * file may be near 2^64 in a state that is hostile. */
typedef unsigned __int128 rows_sum;

static bool is_worth_it(const uint64_t *sizes, const rows_sum *sums, size_t begin, size_t end,
                        uint64_t ratio)
{
    if (end - begin < 2) return false;
    rows_sum largest = sizes[end - 1];
    return largest * ratio <= sums[end] - sums[begin] - largest;
}

static size_t size_ratio(const struct compaction_rule *rule, const uint64_t *sizes, size_t n,
                         uint64_t n_running, struct job_range *out)
{
    rows_sum few[64], *sums = few;
    defer_free rows_sum *many = NULL;
    if (n >= 64) sums = many = memory_alloc((n + 1) * sizeof(*sums));
    sums[0] = 0;
    for (size_t i = 0; i < n; i++)
        sums[i + 1] = sums[i] + sizes[i];
    size_t n_out = 0;
    while (n > 1 && !is_worth_it(sizes, sums, 0, n, rule->ratio))
        n--;
    if (n <= 1) return 0;
    if (n <= rule->batch) {
        out[n_out++] = (struct job_range){0, n};
    } else {
        for (size_t at = 0; at < n;) {
            size_t end = n - at < rule->batch ? n : at + rule->batch;
            if (is_worth_it(sizes, sums, at, end, rule->ratio)) {
                out[n_out++] = (struct job_range){at, end};
                at = end;
            } else {
                at++;
            }
        }
    }
    uint64_t allowed = rule->concurrent > n_running ? rule->concurrent - n_running : 0;
    return n_out < allowed ? n_out : (size_t)allowed;
}

size_t compaction_rule_apply(const struct compaction_rule *rule, const uint64_t *sizes, size_t n,
                             uint64_t n_running, struct job_range *out)
{
    if (rule->is_size_ratio) return size_ratio(rule, sizes, n, n_running, out);
    size_t n_out = 0;
    for (size_t at = 0; n - at >= rule->batch; at += rule->batch)
        out[n_out++] = (struct job_range){at, at + rule->batch};
    return n_out;
}
