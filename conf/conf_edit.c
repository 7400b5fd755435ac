/* SPDX-License-Identifier: MIT
 *
 * conf_edit - a configuration file belongs to the person who wrote it. What is changed in it for an option is the
 * text of one value, or one line is added; comments, order, blanks, unknown lines and line ends stay as they are.
 *
 * The parsers note where each member stands (struct conf_place). Of an option that is set more than once the last
 * place counts, so that is the one to edit, in whichever file it is and under whichever name (msq_len is
 * mqtt.max_mqueue_len). An option that is set nowhere goes into the last block of the main file that is named like
 * the beginning of its path, and otherwise to the end of the file:
 *
 *   mqtt {                       mqtt {
 *       max_qos = 2  # all  -->      max_qos = 1  # all
 *   }                                receive_maximum = 7
 *                                }
 *                                log.level = info
 *
 * Whether that was right is not argued but tried:
 *
 *   I1  the new text means what the old one meant, with the option set to the value, and nothing else
 *
 * The old text is read with the option set from outside, the new one as it is; the two configurations must not
 * differ (conf_diff_reload()). If they do, the text stays as it was. A file whose form cannot hold the value (the old
 * form has no blanks) ends there too.
 *
 * Rejected: printing the whole configuration anew, which loses what the table does not know; patterns over lines,
 * which do not know blocks.
 */
#include "conf/conf_edit.h"

#include "base/file_replace.h"
#include "base/mem.h"
#include "conf/conf_priv.h"

#include <stdlib.h>
#include <string.h>

/* Owner: whoever opened it. */
struct conf_edit {
    struct conf_text texts[CONF_FILES_MAX]; /* the main file, then what it includes */
    bool changed[CONF_FILES_MAX];
    struct file_replace staged[CONF_FILES_MAX];
    struct conf_files files;
    enum conf_form form;
};

/* ---- reading ---- */

/* The files as they would be, in entries and places; errors go to the buffer. */
static struct conf_loader *read_files(const struct conf_edit *edit, char *errors, size_t size)
{
    struct conf_loader *loader = conf_loader_create(&edit->files);

    conf_report_begin(&loader->errors, errors, size);
    conf_read_entries(loader, edit->texts[0].path, edit->form);
    return loader;
}

/* What the files say, without environment and command line, and with `entry` on top when it is not NULL. NULL, with
 * sentences, when they have errors. */
static struct conf *meaning(const struct conf_edit *edit, const struct conf_entry *entry,
                            char *errors, size_t size)
{
    struct conf_loader *loader = read_files(edit, errors, size);
    struct conf *conf = conf_create();

    loader->conf = conf;
    if (entry != NULL)
        conf_entry_add(loader, entry);
    conf_bind(loader);
    conf_report_end(&loader->errors);
    if (loader->errors.count > 0) {
        conf_free(conf);
        conf = NULL;
    }
    conf_loader_free(loader);
    return conf;
}

struct conf_edit *conf_edit_open(const char *file, enum conf_form form, char *error, size_t size)
{
    struct conf_loader *loader = conf_loader_create(NULL);
    struct conf_edit *edit = NULL;

    conf_report_begin(&loader->errors, error, size);
    conf_read_entries(loader, file, form);
    conf_report_end(&loader->errors);
    if (loader->file_count > 0) {
        edit = mem_zalloc(sizeof(*edit));
        edit->files.texts = edit->texts;
        edit->form = form;
        for (unsigned i = 0; i < loader->file_count; i++) {
            bool known = false;

            for (size_t j = 0; j < edit->files.count; j++)
                known = known || strcmp(edit->texts[j].path, loader->files[i].path) == 0;
            if (known)
                continue; /* it is included twice */
            edit->texts[edit->files.count++] = loader->files[i];
            loader->files[i] = (struct conf_text){0};
        }
        error[0] = '\0';
    }
    conf_loader_free(loader);
    return edit;
}

struct conf_edit *conf_edit_of(const struct conf_files *files, enum conf_form form)
{
    struct conf_edit *edit = mem_zalloc(sizeof(*edit));

    ASSERT(files->count > 0 && files->count <= CONF_FILES_MAX);
    edit->files.texts = edit->texts;
    edit->files.count = files->count;
    edit->form = form;
    for (size_t i = 0; i < files->count; i++)
        edit->texts[i] =
            (struct conf_text){mem_strdup(files->texts[i].path), mem_strdup(files->texts[i].text)};
    return edit;
}

const struct conf_files *conf_edit_files(const struct conf_edit *edit)
{
    return &edit->files;
}

unsigned conf_edit_changed(const struct conf_edit *edit)
{
    unsigned changed = 0;

    for (size_t i = 0; i < edit->files.count; i++)
        changed += edit->changed[i];
    return changed;
}

/* ---- the text of a value ---- */

/* True when the value needs no quotes. */
static bool plain(const char *value)
{
    return value[0] != '\0' &&
           value[strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
                               "/")] == '\0' &&
           strstr(value, "//") == NULL;
}

/* `value` as the file has it. The new text is the caller's. */
static char *value_text(const struct conf_row *row, const char *value, bool key_value, bool quoted)
{
    size_t size = 6 * strlen(value) + 3;
    char *text = mem_alloc(size), *at = text;

    if (key_value || row->kind == CONF_KIND_CHOICES || (!quoted && plain(value))) {
        snprintf(text, size, "%s", value);
        return text;
    }
    *at++ = '"';
    for (; *value != '\0'; value++) {
        if (*value == '"' || *value == '\\')
            at += snprintf(at, 3, "\\%c", *value);
        else if ((unsigned char)*value < 0x20)
            at += snprintf(at, 7, "\\u%04x", (unsigned char)*value);
        else
            *at++ = *value;
    }
    *at++ = '"';
    *at = '\0';
    return text;
}

/* ---- where it goes ---- */

/* True when a member of that name sets the option. */
static bool sets(const char *name, const char *path)
{
    const struct conf_legacy *legacy;

    if (name == NULL)
        return false;
    if (strcmp(name, path) == 0)
        return true;
    legacy = conf_legacy_find(name);
    return legacy != NULL && legacy->kind == CONF_LEGACY_RENAMED &&
           strcmp(legacy->argument, path) == 0;
}

/* True when the member sets the option and another one: http_server.bind, of a port. */
static bool sets_two(const char *name, const char *path)
{
    const struct conf_legacy *legacy = name != NULL ? conf_legacy_find(name) : NULL;

    return legacy != NULL && legacy->kind == CONF_LEGACY_SPLIT &&
           (strcmp(legacy->argument, path) == 0 || strcmp(legacy->text, path) == 0);
}

/* The place that decides the option's value; NULL when there is none. *last: it decides another option too, so the
 * new member has to come after it. */
static const struct conf_place *find_member(const struct conf_loader *loader, const char *path,
                                            bool *last)
{
    *last = false;
    for (unsigned i = loader->place_count; i-- > 0;) {
        const struct conf_place *place = &loader->places[i];

        if (!place->block && sets(place->path, path))
            return place;
        *last = !place->block && sets_two(place->path, path);
        if (*last)
            break;
    }
    return NULL;
}

/* True when the path begins with the block's; *rest is then what follows. */
static bool within(const char *path, const char *block, const char **rest)
{
    size_t len = strlen(block);

    if (len > 0 && (strncmp(path, block, len) != 0 || path[len] != '.'))
        return false;
    *rest = len > 0 ? path + len + 1 : path;
    return true;
}

/* The last of the innermost blocks of the main file that the option can go into, or NULL. */
static const struct conf_place *find_block(const struct conf_loader *loader, const char *path,
                                           const char **rest)
{
    const struct conf_place *best = NULL;

    *rest = path;
    for (unsigned i = 0; i < loader->place_count; i++) {
        const struct conf_place *place = &loader->places[i];
        const char *after;

        if (place->block && place->file == 0 && place->path != NULL &&
            within(path, place->path, &after) && after >= *rest) {
            best = place;
            *rest = after;
        }
    }
    return best;
}

/* ---- changing a text ---- */

static char *splice(const char *text, size_t begin, size_t end, const char *insert)
{
    size_t len = strlen(text), more = strlen(insert);
    char *made = mem_alloc(len - (end - begin) + more + 1);

    memcpy(made, text, begin);
    memcpy(made + begin, insert, more);
    memcpy(made + begin + more, text + end, len - end + 1);
    return made;
}

static const char *line_end(const char *text)
{
    const char *feed = strchr(text, '\n');

    return feed != NULL && feed > text && feed[-1] == '\r' ? "\r\n" : "\n";
}

static size_t blanks_from(const char *text, size_t at)
{
    return strspn(text + at, " \t");
}

/* The blanks before the first member of the block that begins a line; those of the closing bracket and four
 * more when there is none. */
static void indentation(const char *text, const struct conf_place *block, size_t closing_line,
                        char *to, size_t size)
{
    for (size_t at = block->begin; at < closing_line;) {
        size_t feed = at + strcspn(text + at, "\n") + 1, blanks;

        if (feed >= closing_line)
            break;
        blanks = blanks_from(text, feed);
        if (strchr("\r\n", text[feed + blanks]) == NULL && blanks < size) {
            snprintf(to, size, "%.*s", (int)blanks, text + feed);
            return;
        }
        at = feed;
    }
    snprintf(to, size, "%.*s%s", (int)(block->end - closing_line), text + closing_line,
             block->path[0] == '\0' ? "" : "    ");
}

/* "{ a = 1 }": behind the last member, on the same line. */
static char *insert_on_line(const char *text, const struct conf_place *block, const char *member)
{
    size_t end = block->end, size = strlen(member) + 8;
    char *insert = mem_alloc(size), *made;

    while (end > block->begin && strchr(" \t", text[end - 1]) != NULL)
        end--;
    snprintf(insert, size, "%s%s%s",
             end == block->begin    ? " "
             : text[end - 1] == ',' ? " "
                                    : ", ",
             member, end == block->end ? " " : "");
    made = splice(text, end, end, insert);
    mem_free(insert);
    return made;
}

static char *insert_into_block(const char *text, const struct conf_place *block, const char *member)
{
    size_t line = block->end, size = strlen(member) + 2 * CONF_PATH_BYTES;
    char indent[CONF_PATH_BYTES / 2], *insert, *made;

    while (line > block->begin && strchr(" \t", text[line - 1]) != NULL)
        line--;
    if (line == block->begin || text[line - 1] != '\n')
        return insert_on_line(text, block, member);
    indentation(text, block, line, indent, sizeof(indent));
    insert = mem_alloc(size);
    snprintf(insert, size, "%s%s%s", indent, member, line_end(text));
    made = splice(text, line, line, insert);
    mem_free(insert);
    return made;
}

static char *append(const char *text, const char *member)
{
    size_t len = strlen(text), size = strlen(member) + 8;
    char *insert = mem_alloc(size), *made;

    snprintf(insert, size, "%s%s%s", len > 0 && text[len - 1] != '\n' ? line_end(text) : "", member,
             line_end(text));
    made = splice(text, len, len, insert);
    mem_free(insert);
    return made;
}

/* ---- setting ---- */

/* The main file's text with a member that was nowhere; `last`: at its end. */
static char *with_new_member(const struct conf_edit *edit, const struct conf_loader *loader,
                             const struct conf_row *row, const char *path, const char *value,
                             bool last)
{
    const char *rest = path;
    const struct conf_place *block = last ? NULL : find_block(loader, path, &rest);
    char *text = value_text(row, value, !loader->is_hocon, row->preset_text != NULL), *made;
    size_t size = strlen(path) + strlen(text) + 8;
    char *member = mem_alloc(size);

    snprintf(member, size, "%s%s%s", rest, loader->is_hocon ? " = " : "=", text);
    made = block != NULL ? insert_into_block(edit->texts[0].text, block, member)
                         : append(edit->texts[0].text, member);
    mem_free(member);
    mem_free(text);
    return made;
}

static char *with_other_value(const char *text, const struct conf_place *place,
                              const struct conf_row *row, const char *value, bool key_value)
{
    char *insert = value_text(row, value, key_value, text[place->begin] == '"');
    char *made = splice(text, place->begin, place->end, insert);

    mem_free(insert);
    return made;
}

/* The index in edit->texts of a file of the loader. */
static unsigned text_of(const struct conf_edit *edit, const char *path)
{
    unsigned i = 0;

    while (strcmp(edit->texts[i].path, path) != 0)
        i++;
    return i;
}

/* Tries the change. Returns the text that it changes, and its former contents in *before, which is NULL when nothing
 * had to be changed. */
static unsigned change(struct conf_edit *edit, const struct conf_row *row, const char *path,
                       const char *value, char **before)
{
    char errors[CONF_SENTENCE_BYTES];
    struct conf_loader *loader = read_files(edit, errors, sizeof(errors));
    bool last;
    const struct conf_place *place = find_member(loader, path, &last);
    unsigned index = place != NULL ? text_of(edit, loader->files[place->file].path) : 0;

    *before = edit->texts[index].text;
    if (place != NULL)
        edit->texts[index].text = with_other_value(*before, place, row, value, !loader->is_hocon);
    else
        edit->texts[index].text = with_new_member(edit, loader, row, path, value, last);
    conf_loader_free(loader);
    return index;
}

/* The value as files have it: for the old form without brackets and the blanks of lists. False with a sentence. */
static bool canonical(const struct conf_row *row, const char *value, bool key_value, char *to,
                      size_t to_size, char *error, size_t size)
{
    struct conf_row at_begin = *row;
    union conf_scratch scratch;
    size_t used = 0;

    memset(&scratch, 0, sizeof(scratch));
    at_begin.offset = 0;
    if (!conf_value_parse(&at_begin, value, &scratch, error, size))
        return false;
    if (row->kind == CONF_KIND_SECRET)
        snprintf(to, to_size, "%s", value);
    else
        conf_value_format(&at_begin, &scratch, to, to_size);
    conf_value_free(&at_begin, &scratch);
    for (const char *at = to; key_value && row->kind == CONF_KIND_CHOICES; at++) {
        if (*at == '\0' || strchr("[] ", *at) == NULL)
            to[used++] = *at;
        if (*at == '\0')
            break;
    }
    return true;
}

static bool is_key_value(const struct conf_edit *edit)
{
    char errors[CONF_SENTENCE_BYTES];
    struct conf_loader *loader = read_files(edit, errors, sizeof(errors));
    bool key_value = !loader->is_hocon;

    conf_loader_free(loader);
    return key_value;
}

/* The change itself, on files that mean something else than `wanted`. */
static bool try_change(struct conf_edit *edit, const struct conf_row *row, const char *path,
                       const char *value, const struct conf *wanted, char *error, size_t size)
{
    char *before = NULL;
    unsigned index = change(edit, row, path, value, &before);
    struct conf *made = meaning(edit, NULL, error, size);
    bool good = made != NULL && conf_diff_reload(wanted, made, NULL, NULL, NULL) == 0; /* I1 */

    if (made != NULL && !good)
        refuse_with(error, size, "%s: this value cannot be written to %s", path,
                    edit->texts[index].path);
    conf_free(made);
    if (good) {
        mem_free(before);
        edit->changed[index] = true;
    } else {
        mem_free(edit->texts[index].text);
        edit->texts[index].text = before;
    }
    return good;
}

static bool set(struct conf_edit *edit, const struct conf_row *row, const char *path,
                const char *value, char *error, size_t size)
{
    struct conf_entry entry = {.path = (char *)(uintptr_t)path,
                               .value = (char *)(uintptr_t)value,
                               .layer = CONF_LAYER_RUN_TIME,
                               .where = path};
    struct conf *old = meaning(edit, NULL, error, size);
    struct conf *wanted = old != NULL ? meaning(edit, &entry, error, size) : NULL;
    bool key_value = is_key_value(edit), good = wanted != NULL;
    char text[CONF_VALUE_BYTES];

    if (good && conf_diff_reload(old, wanted, NULL, NULL, NULL) > 0) {
        good = canonical(row, value, key_value, text, sizeof(text), error, size);
        if (good && key_value && (text[0] == '\0' || text[strcspn(text, " \t\r\n\v\f")] != '\0'))
            good = refuse_with(
                error, size,
                "%s: %s has the form key=value, in which a value cannot be empty or hold "
                "blanks",
                path, edit->texts[0].path);
        good = good && try_change(edit, row, path, text, wanted, error, size);
    }
    conf_free(old);
    conf_free(wanted);
    return good;
}

/* What is there without being written, as long as nothing of its kind is: the first member of that kind ends it, so
 * it is to be written down before. */
static const struct {
    const char *block, *path, *value;
} unwritten[] = {
    {"http_server.", "http_server.enable", "false"}, /* with a block the API is on */
    {"listeners.", "listeners.tcp.enable", "true"},  /* without any there is the default one */
};

static bool below(const char *path, const char *block)
{
    return strncmp(path, block, strlen(block)) == 0;
}

/* True when the files have a member below the block, under whichever name. In the old form the API's block is no
 * switch. */
static bool has_block(const struct conf_edit *edit, const char *block)
{
    char errors[CONF_SENTENCE_BYTES];
    struct conf_loader *loader = read_files(edit, errors, sizeof(errors));
    bool has = !loader->is_hocon && strcmp(block, "http_server.") == 0;

    for (size_t i = 0; i < loader->entry_count; i++) {
        const struct conf_legacy *legacy = conf_legacy_find(loader->entries[i].path);

        has = has || below(loader->entries[i].path, block) ||
              (legacy != NULL && legacy->kind == CONF_LEGACY_RENAMED &&
               below(legacy->argument, block));
    }
    conf_loader_free(loader);
    return has;
}

/* It means what was there before, so set() would find nothing to do. */
static bool write_down(struct conf_edit *edit, const char *path, const char *value, char *error,
                       size_t size)
{
    struct conf *wanted = meaning(edit, NULL, error, size);
    bool good =
        wanted != NULL && try_change(edit, conf_option_row(path), path, value, wanted, error, size);

    conf_free(wanted);
    return good;
}

/* True when the option is one more of what unwritten[i] is about, and not that itself. */
static bool ends_unwritten(const struct conf_edit *edit, size_t i, const char *path)
{
    if (!below(path, unwritten[i].block) || strcmp(path, unwritten[i].path) == 0 ||
        (below(path, "listeners.tcp.") && strchr(path + strlen("listeners.tcp."), '.') == NULL))
        return false;
    return !has_block(edit, unwritten[i].block);
}

bool conf_edit_set(struct conf_edit *edit, const char *path, const char *value, char *error,
                   size_t size)
{
    const struct conf_row *row = conf_option_row(path);
    bool changed = edit->changed[0], good = true;
    char *before;

    if (row == NULL)
        return refuse_with(error, size, "%s: there is no such option", path);
    before = mem_strdup(edit->texts[0].text);
    for (size_t i = 0; good && i < ARRAY_LENGTH(unwritten); i++) {
        if (ends_unwritten(edit, i, path))
            good = write_down(edit, unwritten[i].path, unwritten[i].value, error, size);
    }
    good = good && set(edit, row, path, value, error, size);
    if (!good) {
        mem_free(edit->texts[0].text);
        edit->texts[0].text = before;
        edit->changed[0] = changed;
    } else {
        mem_free(before);
    }
    return good;
}

bool conf_edit_replace(struct conf_edit *edit, const char *text, size_t len, char *error,
                       size_t size)
{
    char *copy;

    if (len > CONF_FILE_BYTES_MAX)
        return refuse_with(error, size, "a configuration file cannot be larger than %d bytes",
                           CONF_FILE_BYTES_MAX);
    if (conf_first_bad_line(text, len) != 0)
        return refuse_with(error, size, "line %u is not UTF-8 text",
                           conf_first_bad_line(text, len));
    if (strlen(edit->texts[0].text) == len && memcmp(edit->texts[0].text, text, len) == 0)
        return true;
    copy = mem_alloc(len + 1);
    memcpy(copy, text, len);
    copy[len] = '\0';
    mem_free(edit->texts[0].text);
    edit->texts[0].text = copy;
    edit->changed[0] = true;
    return true;
}

/* ---- writing ---- */

bool conf_edit_stage(struct conf_edit *edit, char *error, size_t size)
{
    for (size_t i = 0; i < edit->files.count; i++) {
        const struct conf_text *text = &edit->texts[i];

        if (edit->changed[i] && !file_replace_stage(&edit->staged[i], text->path, text->text,
                                                    strlen(text->text), 0640, error, size)) {
            while (i-- > 0)
                file_replace_abandon(&edit->staged[i]);
            return false;
        }
    }
    return true;
}

bool conf_edit_commit(struct conf_edit *edit, char *error, size_t size)
{
    for (size_t i = 0; i < edit->files.count; i++) {
        if (!edit->changed[i])
            continue;
        if (!file_replace_commit(&edit->staged[i], error, size))
            return false;
        edit->changed[i] = false;
    }
    return true;
}

void conf_edit_close(struct conf_edit *edit)
{
    if (edit == NULL)
        return;
    for (size_t i = 0; i < edit->files.count; i++) {
        file_replace_abandon(&edit->staged[i]);
        mem_free(edit->texts[i].path);
        mem_free(edit->texts[i].text);
    }
    mem_free(edit);
}
