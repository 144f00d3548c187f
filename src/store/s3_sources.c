/*
 * s3_sources.c: the places where access keys are found, in the order in which Amazon's own tools
 * look: environment, web identity, shared files, container, instance metadata. The first one that
 * is set up decides: when it then fails, that is the error, and nothing behind it is tried, so that
 * a mistake in the environment never ends with the rights of the machine.
 *
 * Container and instance metadata are addresses on the machine itself, spoken to in the clear and
 * never through a proxy. Version 2 of the instance metadata is used alone: a token is put first, so
 * that a forwarded GET cannot fetch keys. An address given in full for the container must be one of
 * this machine, unless it is https.
 *
 * Answers are JSON (of the token service XML) and hold secrets: nothing of them is quoted in an
 * error.
 */
#include "store/s3_int.h"

#include "base/json.h"

#include <stdlib.h>

enum {
    ANSWER_BYTES_MAX = 64 << 10,
    TOKEN_FILE_BYTES_MAX = 64 << 10,
    METADATA_TIMEOUT_MS = 1000,
    CONTAINER_TIMEOUT_MS = 2000,
    STS_TIMEOUT_MS = 10000,
    TRIES = 3,
    BETWEEN_TRIES_MS = 100,
};

/* One request with its answer. */
struct question {
    const char *method;
    const char *url;
    struct http_header headers[2];
    size_t n_headers;
    struct slice body;
    int64_t timeout_ms;
    bool direct;
    unsigned tries;
    /* out: */
    int status;
    struct slice answer;
};

static int from_environment(struct s3_source *source, struct arena *arena, bool *found,
                            struct s3_credentials *out);
static int from_web_identity(struct s3_source *source, const char *token_file, const char *role_arn,
                             const char *session_name, struct arena *arena,
                             struct s3_credentials *out);
static int from_profile(struct s3_source *source, struct arena *arena, bool *found,
                        struct s3_credentials *out);
static int from_container(struct s3_source *source, const char *url, struct arena *arena,
                          struct s3_credentials *out);
static int from_metadata(struct s3_source *source, struct arena *arena, struct s3_credentials *out);
static int container_url_check(const char *url);
static int ask(struct s3_source *source, struct question *question, struct arena *arena);
static int read_json(struct slice text, const char *token_name, struct arena *arena,
                     struct s3_credentials *out);
static int check_clean(struct slice text, const char *name);

static const char *get(const struct s3_source *source, const char *name)
{
    const char *value = source->environment->get(source->environment, name);
    return value && *value ? value : NULL;
}

static bool is_true(const char *value)
{
    return value && strcasecmp(value, "true") == 0;
}

int s3_source_fetch(struct s3_source *source, struct arena *arena, struct s3_credentials *out)
{
    memset(out, 0, sizeof(*out));
    source->is_fixed = false;
    bool found = false;
    TRY(from_environment(source, arena, &found, out));
    if (found) {
        source->is_fixed = true;
        return 0;
    }
    const char *token_file = get(source, "AWS_WEB_IDENTITY_TOKEN_FILE");
    if (token_file)
        return from_web_identity(source, token_file, get(source, "AWS_ROLE_ARN"),
                                 get(source, "AWS_ROLE_SESSION_NAME"), arena, out);
    TRY(from_profile(source, arena, &found, out));
    if (found) return 0;
    const char *relative = get(source, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    if (relative)
        return from_container(source, arena_printf(arena, "http://169.254.170.2%s", relative),
                              arena, out);
    const char *full = get(source, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    if (full) {
        TRY_CONTEXT(container_url_check(full), "AWS_CONTAINER_CREDENTIALS_FULL_URI");
        return from_container(source, full, arena, out);
    }
    const char *disabled = is_true(get(source, "AWS_EC2_METADATA_DISABLED"))
                               ? "not asked, for AWS_EC2_METADATA_DISABLED is set"
                               : NULL;
    if (!disabled && from_metadata(source, arena, out) == 0) return 0;
    const char *reason =
        disabled ? disabled : arena_copy_text(arena, slice_from_text(error_message()));
    return error_set(
        GLIS_EDENIED,
        "no access keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile "
        "in ~/.aws/credentials; instance metadata: %s",
        reason);
}

static int from_environment(struct s3_source *source, struct arena *arena, bool *found,
                            struct s3_credentials *out)
{
    const char *key = get(source, "AWS_ACCESS_KEY_ID");
    const char *secret = get(source, "AWS_SECRET_ACCESS_KEY");
    *found = key && secret;
    if (!key && !secret) return 0;
    if (!*found)
        return error_set(GLIS_EDENIED, "%s is set and %s is not",
                         key ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                         key ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
    out->access_key = slice_from_text(arena_copy_text(arena, slice_from_text(key)));
    out->secret_key = slice_from_text(arena_copy_text(arena, slice_from_text(secret)));
    out->session_token =
        slice_from_text(arena_copy_text(arena, slice_from_text(get(source, "AWS_SESSION_TOKEN"))));
    out->source = "environment";
    TRY(check_clean(out->access_key, "AWS_ACCESS_KEY_ID"));
    TRY(check_clean(out->secret_key, "AWS_SECRET_ACCESS_KEY"));
    return check_clean(out->session_token, "AWS_SESSION_TOKEN");
}

/* ---- shared files ---- */

static int from_profile(struct s3_source *source, struct arena *arena, bool *found,
                        struct s3_credentials *out)
{
    *found = false;
    struct s3_profile profile;
    TRY(s3_profile_load(source->environment, arena, &profile));
    bool asked_for = get(source, "AWS_PROFILE") || get(source, "AWS_DEFAULT_PROFILE");
    if (!profile.found) {
        if (!asked_for) return 0;
        return error_set(GLIS_EDENIED,
                         "there is no profile '%s' in the shared files (AWS_PROFILE names it)",
                         profile.name);
    }
    const struct s3_profile_item *role = s3_profile_find(&profile, "role_arn");
    const struct s3_profile_item *token_file = s3_profile_find(&profile, "web_identity_token_file");
    const struct s3_profile_item *session = s3_profile_find(&profile, "role_session_name");
    if (role && token_file) {
        *found = true;
        return from_web_identity(
            source, arena_copy_text(arena, token_file->value), arena_copy_text(arena, role->value),
            session ? arena_copy_text(arena, session->value) : NULL, arena, out);
    }
    static const char *const unknown[] = {
        "role_arn",           "sso_session",       "sso_start_url", "sso_account_id",
        "credential_process", "credential_source", "login_session"};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        const struct s3_profile_item *item = s3_profile_find(&profile, unknown[i]);
        if (item)
            return error_set(GLIS_EUNSUPPORTED,
                             "%s: line %u: %s is not supported; let another tool fetch the keys "
                             "(aws configure export-credentials --profile %s --format env) and set "
                             "them in the environment",
                             item->file, item->line, unknown[i], profile.name);
    }
    const struct s3_profile_item *key = s3_profile_find(&profile, "aws_access_key_id");
    const struct s3_profile_item *secret = s3_profile_find(&profile, "aws_secret_access_key");
    const struct s3_profile_item *token = s3_profile_find(&profile, "aws_session_token");
    if (!key && !secret) {
        if (!asked_for) return 0;
        return error_set(GLIS_EDENIED, "profile '%s' in the shared files has no access keys",
                         profile.name);
    }
    if (!key || !secret || key->value.size == 0 || secret->value.size == 0)
        return error_set(GLIS_EDENIED, "%s: profile '%s' has no %s", (key ? key : secret)->file,
                         profile.name,
                         key && key->value.size ? "aws_secret_access_key" : "aws_access_key_id");
    *found = true;
    out->access_key = slice_from_text(arena_copy_text(arena, key->value));
    out->secret_key = slice_from_text(arena_copy_text(arena, secret->value));
    out->session_token =
        slice_from_text(arena_copy_text(arena, token ? token->value : SLICE_EMPTY));
    out->source = arena_printf(arena, "profile '%s'", profile.name);
    TRY_CONTEXT(check_clean(out->access_key, "aws_access_key_id"), "%s", key->file);
    TRY_CONTEXT(check_clean(out->secret_key, "aws_secret_access_key"), "%s", key->file);
    TRY_CONTEXT(check_clean(out->session_token, "aws_session_token"), "%s", key->file);
    return 0;
}

/* ---- web identity ---- */

static int from_web_identity(struct s3_source *source, const char *token_file, const char *role_arn,
                             const char *session_name, struct arena *arena,
                             struct s3_credentials *out)
{
    if (!role_arn)
        return error_set(GLIS_EDENIED,
                         "AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not");
    struct slice token;
    TRY_CONTEXT(s3_file_read(token_file, TOKEN_FILE_BYTES_MAX, arena, &token),
                "the web identity's token");
    while (token.size > 0 && strchr(" \r\n\t", token.data[token.size - 1]))
        token.size--;
    TRY_CONTEXT(check_clean(token, "the web identity's token"), "%s", token_file);
    const char *endpoint = get(source, "AWS_ENDPOINT_URL_STS");
    if (!endpoint) endpoint = get(source, "AWS_ENDPOINT_URL");
    if (!endpoint)
        endpoint =
            arena_printf(arena, "https://sts.%.*s.amazonaws.com%s", SLICE_PRINT(source->region),
                         slice_starts_with(source->region, SLICE("cn-")) ? ".cn" : "");
    size_t size = strlen(endpoint);
    bool slash = size > 0 && endpoint[size - 1] == '/';
    const char *body = arena_printf(
        arena,
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=%.*s&RoleSessionName=%.*s"
        "&WebIdentityToken=%.*s",
        SLICE_PRINT(s3_escape(slice_from_text(role_arn), false, arena)),
        SLICE_PRINT(s3_escape(slice_from_text(session_name ? session_name : "glis"), false, arena)),
        SLICE_PRINT(s3_escape(token, false, arena)));
    struct question question = {
        .method = "POST",
        .url = arena_printf(arena, "%s%s", endpoint, slash ? "" : "/"),
        .headers = {{SLICE("content-type"), SLICE("application/x-www-form-urlencoded")},
                    {SLICE("accept"), SLICE("text/xml")}},
        .n_headers = 2,
        .body = slice_from_text(body),
        .timeout_ms = STS_TIMEOUT_MS,
        .tries = TRIES,
    };
    TRY_CONTEXT(ask(source, &question, arena), "web identity: the token service");
    if (question.status != 200) {
        struct s3_error error;
        (void)s3_xml_error(question.answer, arena, &error);
        return error_set(GLIS_EDENIED, "web identity: the token service answers %d %.*s",
                         question.status, SLICE_PRINT(s3_hide_secrets(NULL, error.code, arena)));
    }
    TRY_CONTEXT(s3_xml_assumed(question.answer, arena, out), "web identity: the token service");
    out->source = "web identity";
    TRY(check_clean(out->access_key, "the access key"));
    TRY(check_clean(out->secret_key, "the secret key"));
    return check_clean(out->session_token, "the session token");
}

/* ---- container ---- */

static bool host_is(const char *rest, const char *host)
{
    size_t size = strlen(host);
    return strncasecmp(rest, host, size) == 0 && (rest[size] == '\0' || strchr(":/?", rest[size]));
}

static bool is_loopback(const char *rest)
{
    if (host_is(rest, "localhost") || host_is(rest, "[::1]")) return true;
    if (strncmp(rest, "127.", 4) != 0) return false;
    size_t size = strspn(rest, "0123456789.");
    return rest[size] == '\0' || strchr(":/?", rest[size]);
}

static int container_url_check(const char *url)
{
    if (strncmp(url, "https://", 8) == 0) return 0;
    const char *rest = url + 7;
    if (strncmp(url, "http://", 7) == 0 && !strchr(rest, '@') &&
        (is_loopback(rest) || host_is(rest, "169.254.170.2") || host_is(rest, "169.254.170.23") ||
         host_is(rest, "[fd00:ec2::23]")))
        return 0;
    return error_set(GLIS_EDENIED, "keys are fetched over https or from this machine only");
}

static int from_container(struct s3_source *source, const char *url, struct arena *arena,
                          struct s3_credentials *out)
{
    struct question question = {
        .method = "GET",
        .url = url,
        .headers = {{SLICE("accept"), SLICE("application/json")}},
        .n_headers = 1,
        .timeout_ms = CONTAINER_TIMEOUT_MS,
        .direct = strncmp(url, "https://", 8) != 0,
        .tries = TRIES,
    };
    struct slice token = slice_from_text(get(source, "AWS_CONTAINER_AUTHORIZATION_TOKEN"));
    const char *file = get(source, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    if (file) {
        TRY_CONTEXT(s3_file_read(file, TOKEN_FILE_BYTES_MAX, arena, &token),
                    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        while (token.size > 0 && strchr(" \r\n\t", token.data[token.size - 1]))
            token.size--;
    }
    for (size_t i = 0; i < token.size; i++)
        if ((uint8_t)token.data[i] < 0x20 || token.data[i] == 0x7f)
            return error_set(GLIS_EDENIED, "the container's authorization token holds characters "
                                           "that no header may have");
    if (token.size > 0)
        question.headers[question.n_headers++] =
            (struct http_header){SLICE("authorization"), token};
    TRY_CONTEXT(ask(source, &question, arena), "the container's keys");
    if (question.status != 200)
        return error_set(GLIS_EDENIED, "the container's keys: their service answers %d",
                         question.status);
    out->source = "container";
    TRY_CONTEXT(read_json(question.answer, "Token", arena, out), "the container's keys");
    return 0;
}

/* ---- instance metadata ---- */

static int from_metadata(struct s3_source *source, struct arena *arena, struct s3_credentials *out)
{
    const char *mode = get(source, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
    const char *endpoint = get(source, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    if (!endpoint)
        endpoint = mode && strcasecmp(mode, "ipv6") == 0 ? "http://[fd00:ec2::254]"
                                                         : "http://169.254.169.254";
    size_t size = strlen(endpoint);
    while (size > 0 && endpoint[size - 1] == '/')
        size--;
    const char *base = arena_printf(arena, "%.*s/latest", (int)size, endpoint);
    const char *role_url = arena_printf(arena, "%s/meta-data/iam/security-credentials/", base);
    struct question put = {
        .method = "PUT",
        .url = arena_printf(arena, "%s/api/token", base),
        .headers = {{SLICE("x-aws-ec2-metadata-token-ttl-seconds"), SLICE("21600")}},
        .n_headers = 1,
        .timeout_ms = METADATA_TIMEOUT_MS,
        .direct = true,
        .tries = 1,
    };
    TRY(ask(source, &put, arena));
    if (put.status != 200 || check_clean(put.answer, "the token") < 0)
        return error_set(GLIS_EDENIED, "no token, status %d", put.status);
    struct question role = {
        .method = "GET",
        .url = role_url,
        .headers = {{SLICE("x-aws-ec2-metadata-token"), put.answer}},
        .n_headers = 1,
        .timeout_ms = METADATA_TIMEOUT_MS,
        .direct = true,
        .tries = TRIES,
    };
    TRY(ask(source, &role, arena));
    struct slice name = role.answer;
    const char *line_end = name.size > 0 ? memchr(name.data, '\n', name.size) : NULL;
    if (line_end) name.size = (size_t)(line_end - name.data);
    if (role.status != 200 || name.size == 0)
        return error_set(GLIS_EDENIED, "the instance has no role, status %d", role.status);
    struct question keys = role;
    keys.url = arena_printf(arena, "%s%.*s", role_url, SLICE_PRINT(s3_escape(name, false, arena)));
    TRY(ask(source, &keys, arena));
    if (keys.status != 200)
        return error_set(GLIS_EDENIED, "the keys of the instance's role, status %d", keys.status);
    out->source = "instance metadata";
    return read_json(keys.answer, "Token", arena, out);
}

/* ---- what they share ---- */

static int ask(struct s3_source *source, struct question *question, struct arena *arena)
{
    struct clock *clock = source->runtime->clock;
    for (unsigned i = 1;; i++) {
        struct http_request request = {
            .method = question->method,
            .url = slice_from_text(question->url),
            .headers = question->headers,
            .n_headers = question->n_headers,
            .body = question->body,
            .direct = question->direct,
            .ca_file = source->ca_file,
            .connect_timeout_ms = question->timeout_ms,
            .timeout_ms = question->timeout_ms,
            .body_max = ANSWER_BYTES_MAX,
            .arena = arena,
        };
        http_run(source->http, source->runtime->cancel, &request, 1);
        question->status = request.status;
        question->answer = SLICE_EMPTY;
        if (request.outcome == 0) {
            struct slice body = http_answer_body(&request);
            question->answer = slice_make(arena_copy_text(arena, body), body.size);
        }
        block_release(request.block);
        bool again = request.outcome == 0
                         ? request.status >= 500
                         : request.outcome == GLIS_EIO || request.outcome == GLIS_ETIMEOUT;
        if (!again || i >= question->tries) {
            if (request.outcome == 0) return 0;
            int code = request.outcome == GLIS_ECANCELLED || request.outcome == GLIS_ETIMEOUT
                           ? request.outcome
                           : GLIS_EDENIED;
            return error_set(code, "%s", request.failure ? request.failure : "no answer");
        }
        clock->sleep_ms(clock, (int64_t)BETWEEN_TRIES_MS << i);
    }
}

static int read_json(struct slice text, const char *token_name, struct arena *arena,
                     struct s3_credentials *out)
{
    const struct json *root;
    struct slice expires = SLICE_EMPTY, outcome = SLICE("Success");
    out->session_token = SLICE_EMPTY;
    bool good = json_parse(arena, text, JSON_RULES_USER, &root) == 0 &&
                json_get_string(root, "AccessKeyId", &out->access_key) == 0 &&
                json_get_string(root, "SecretAccessKey", &out->secret_key) == 0 &&
                json_optional_string(root, token_name, &out->session_token) == 0 &&
                json_optional_string(root, "Code", &outcome) == 0 &&
                json_optional_string(root, "Expiration", &expires) == 0 &&
                (expires.size == 0 || s3_time_iso(expires, &out->expires_ms) == 0);
    if (!good || !slice_equal_text(outcome, "Success"))
        return error_set(GLIS_EDENIED, "an answer without usable AccessKeyId, SecretAccessKey, "
                                       "Token and Expiration");
    TRY(check_clean(out->access_key, "AccessKeyId"));
    TRY(check_clean(out->secret_key, "SecretAccessKey"));
    return check_clean(out->session_token, "Token");
}

/* Visible ASCII only: anything else is a mistake, and a line end would break out of its header. */
static int check_clean(struct slice text, const char *name)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f)
            return error_set(GLIS_EDENIED, "%s holds characters that no key has", name);
    return 0;
}
