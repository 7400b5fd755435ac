# http_parser, Debian package libhttp-parser-dev. Defines HTTPParser::HTTPParser.
find_path(HTTP_PARSER_INCLUDE_DIR http_parser.h)
find_library(HTTP_PARSER_LIBRARY http_parser)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(HTTPParser
    REASON_FAILURE_MESSAGE "install the package libhttp-parser-dev (./ci/start does it)"
    REQUIRED_VARS HTTP_PARSER_LIBRARY HTTP_PARSER_INCLUDE_DIR)
if(HTTPParser_FOUND AND NOT TARGET HTTPParser::HTTPParser)
    add_library(HTTPParser::HTTPParser UNKNOWN IMPORTED)
    set_target_properties(HTTPParser::HTTPParser PROPERTIES IMPORTED_LOCATION ${HTTP_PARSER_LIBRARY}
        INTERFACE_INCLUDE_DIRECTORIES ${HTTP_PARSER_INCLUDE_DIR})
endif()
