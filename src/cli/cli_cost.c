/*
 * cli_cost.c: what a call costs: the requests that its store has sent, priced by the properties
 * glis.price.*. Their defaults are Amazon's published list prices of S3 Standard in us-east-1
 * (aws.amazon.com/s3/pricing): per 1,000 requests $0.005 for PUT, POST and LIST, $0.0004 for GET
 * and HEAD, nothing for DELETE; $0.023 a month for a gigabyte of the first 50 TB. Repeats and
 * probes are requests like others. Reads to the internet are not in the default.
 */
#include "cli/command.h"

enum { PER = 1000 };
#define GIGABYTE 1e9

/* Of `n` requests; a property's number is in millionths of a dollar for 1,000. */
static double price_of(struct cli *cli, enum property_id id, double n, double per)
{
    return (double)instance_number(cli->instance, id) / 1e6 * n / per;
}

struct cli_cost cli_cost(struct cli *cli)
{
    struct store_counters sent = store_counters(cli->store);
    struct cli_cost cost = {
        .reads = sent.sent_reads,
        .lists = sent.sent_lists,
        .writes = sent.sent_writes,
        .deletes = sent.sent_deletes,
    };
    if (cost.reads + cost.lists + cost.writes + cost.deletes == 0) return cost;
    double dollars = price_of(cli, PROPERTY_PRICE_READ, (double)cost.reads, PER) +
                     price_of(cli, PROPERTY_PRICE_LIST, (double)cost.lists, PER) +
                     price_of(cli, PROPERTY_PRICE_WRITE, (double)cost.writes, PER) +
                     price_of(cli, PROPERTY_PRICE_DELETE, (double)cost.deletes, PER) +
                     price_of(cli, PROPERTY_PRICE_TRANSFER, (double)sent.bytes_read, GIGABYTE);
    cost.nanodollars = dollars < 1e9 ? (uint64_t)(dollars * 1e9 + 0.5) : UINT64_MAX;
    return cost;
}

double cli_storage_dollars(struct cli *cli, uint64_t bytes)
{
    return price_of(cli, PROPERTY_PRICE_STORAGE, (double)bytes, GIGABYTE);
}
