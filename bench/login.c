/* SPDX-License-Identifier: MIT */
#include "bench/login.h"

#include <sys/random.h>

#include "auth/scram.h"
#include "base/check.h"
#include "base/mem.h"
#include "mqtt/props.h"

#define USERNAME_MAX 600u /* bytes, so that the first message fits whatever they are */

struct login {
    struct scram_client scram;
    char message[SCRAM_MESSAGE_MAX];
};

const char *login_fault(const char *method, const char *username, const char *password,
                        bool is_version_5)
{
    if (method == NULL)
        return NULL;
    if (strcmp(method, SCRAM_METHOD) != 0)
        return "--auth-method: " SCRAM_METHOD " is the only one that is known";
    if (!is_version_5)
        return "--auth-method needs MQTT 5.0";
    if (username == NULL || password == NULL)
        return "--auth-method needs a user name and a password";
    if (username[0] == '\0' || strlen(username) > USERNAME_MAX ||
        !scram_client_name_good(span_text(username)))
        return "--auth-method: the user name must have 1 to 600 bytes";
    return NULL;
}

void login_begin(struct login **login, const char *username, struct connect_packet *packet)
{
    uint8_t random[SCRAM_RANDOM_BYTES];
    size_t len;

    if (*login == NULL)
        *login = mem_zalloc(sizeof(**login));
    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        UNREACHABLE("the kernel gives so few random bytes at once");
    len = scram_client_first(&(*login)->scram, span_text(username), random, (*login)->message);
    ASSERT(len > 0); /* login_fault() was asked */
    packet->has_password = false;
    packet->props.authentication_method = span_text(SCRAM_METHOD);
    packet->props.authentication_data = span_of((*login)->message, len);
    packet->props.present |=
        PROP_BIT(MQTT_PROPERTY_AUTHENTICATION_METHOD) | PROP_BIT(MQTT_PROPERTY_AUTHENTICATION_DATA);
}

static bool answer(struct login *login, struct client *client, const char *password,
                   struct span challenge)
{
    const char *why = NULL;
    size_t len =
        scram_client_final(&login->scram, challenge, span_text(password), login->message, &why);

    if (len == 0) {
        client_give_up(client, MQTT_REASON_UNSPECIFIED_ERROR, "%s: %s", SCRAM_METHOD, why);
        return false;
    }
    if (mqtt_client_auth(&client->mqtt, MQTT_REASON_CONTINUE_AUTHENTICATION,
                         span_text(SCRAM_METHOD), span_of(login->message, len)) != CLIENT_OK) {
        client_give_up(client, MQTT_REASON_UNSPECIFIED_ERROR, "%s: no memory is left",
                       SCRAM_METHOD);
        return false;
    }
    client_wrote(client);
    return true;
}

bool login_event(struct login *login, struct client *client, const char *password,
                 const struct client_event *event)
{
    const struct mqtt_props *props = &event->ack.props;
    struct span data = props_has(props, MQTT_PROPERTY_AUTHENTICATION_DATA)
                           ? props->authentication_data
                           : (struct span){0};

    if (login == NULL)
        return true;
    if (event->kind == CLIENT_AUTH)
        return answer(login, client, password, data);
    if (event->kind != CLIENT_CONNACK || event->ack.reason >= 0x80 ||
        scram_client_check(&login->scram, data))
        return true;
    client_give_up(client, MQTT_REASON_UNSPECIFIED_ERROR,
                   "%s: the broker does not show that it knows the password", SCRAM_METHOD);
    return false;
}

void login_end(struct login *login)
{
    if (login != NULL)
        mem_wipe(login, sizeof(*login));
    mem_free(login);
}
