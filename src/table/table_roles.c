/*
 * table_roles.c: roles: who may do what only one at a time should (architecture, "Roles").
 *
 * A role is a name with an epoch. Taking it names the present epoch and makes it one more, so of
 * several who try at a time one wins, and a token says who. A transaction that is done in a role
 * carries its name and epoch (the fields "role" and "epoch"); once another has taken the role, all
 * that its former holder still sends is refused, by every reader alike. Clocks decide nothing, and
 * what a former holder does outside the log must be harmless.
 */
#include "table/table_int.h"

enum { ROLE_NAME_MAX = 64, ROLES_MAX = 1000 };

static int role_name_check(struct slice name)
{
    if (name.size == 0 || name.size > ROLE_NAME_MAX)
        return error_set(GLIS_EINVALID, "a role's name has 1 to %d bytes", ROLE_NAME_MAX);
    return 0;
}

/* The role as the state has it; epoch 0 when nobody took it yet. */
static struct role_record role_find(const struct state *state, struct slice name)
{
    struct role_record role = {0};
    struct slice value;
    if (!map_get(&state->maps[SECTION_ROLES], name, &value)) return role;
    bool good = role_unpack(value, &role);
    ASSERT(good);
    return role;
}

int apply_take_role(struct state *state, const struct log_record_info *info,
                    const struct json *transaction, struct arena *arena)
{
    (void)arena;
    struct slice name, token;
    uint64_t present;
    TRY(json_get_string(transaction, "name", &name));
    TRY(role_name_check(name));
    TRY(json_get_u64(transaction, "present", &present));
    TRY(json_get_string(transaction, "token", &token));
    TRY(job_id_check("token", token));
    struct role_record role = role_find(state, name);
    if (role.epoch != present && !GLIS_MUTANT(role_taken_of_epoch))
        return error_set(GLIS_EREFUSED, "role '%.*s' is at epoch %llu, held by '%.*s', not at %llu",
                         SLICE_PRINT(name), (unsigned long long)role.epoch, SLICE_PRINT(role.token),
                         (unsigned long long)present);
    if (role.epoch == 0 && map_count(&state->maps[SECTION_ROLES]) >= ROLES_MAX)
        return error_set(GLIS_EREFUSED, "a table has at most %d roles", ROLES_MAX);
    role = (struct role_record){.epoch = present + 1, .record = info->record, .token = token};
    defer_packer struct packer packer = {0};
    role_pack(&packer, &role);
    map_put(&state->maps[SECTION_ROLES], name, packed(&packer));
    return 0;
}

int role_check(const struct state *state, const struct json *transaction)
{
    struct slice name = SLICE_EMPTY;
    uint64_t epoch;
    if (!json_find(transaction, "role")) return 0;
    TRY(json_get_string(transaction, "role", &name));
    TRY(role_name_check(name));
    TRY(json_get_u64(transaction, "epoch", &epoch));
    struct role_record role = role_find(state, name);
    if (epoch != role.epoch && !GLIS_MUTANT(role_of_epoch))
        return error_set(GLIS_EREFUSED,
                         "role '%.*s' is at epoch %llu, held by '%.*s'; this is "
                         "of epoch %llu",
                         SLICE_PRINT(name), (unsigned long long)role.epoch, SLICE_PRINT(role.token),
                         (unsigned long long)epoch);
    return 0;
}

void table_role(const struct table_state *state, struct slice name, struct arena *arena,
                uint64_t *epoch, struct slice *token)
{
    struct role_record role = role_find(state->state, name);
    *epoch = role.epoch;
    *token = arena_copy(arena, role.token);
}
