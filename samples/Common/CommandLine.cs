using System.CommandLine;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using StorySync.Documents;

namespace StorySync.Samples;

/// <summary>Options whose faults are told in the user's words, and the one way in which a program ends.</summary>
internal static partial class CommandLine
{
    private const PosixSignal FileSizeExceeded = (PosixSignal)25;

    private static PosixSignalRegistration? fileSize;

    /// <summary>Runs a command line.</summary>
    /// <param name="command">The program's command.</param>
    /// <param name="arguments">What the user wrote.</param>
    /// <param name="output">Receives results.</param>
    /// <param name="error">Receives progress and errors.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    /// <returns>The exit code: 0, 1 for an error, 130 for a canceled run.</returns>
    public static async Task<int> InvokeAsync(
        RootCommand command, IReadOnlyList<string> arguments, TextWriter output, TextWriter error,
            CancellationToken cancellationToken = default)
    {
        OutliveFileSizeLimit();

        // A prompt may begin with '@', which would otherwise name a file of arguments.
        var parsed = command.Parse(arguments, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (parsed.Action is ParseErrorAction)
        {
            // An option that lacks its value takes the next word for it, and what is left over says less than the option does.
            var fault = parsed.Errors.FirstOrDefault(fault => fault.SymbolResult is OptionResult) ?? parsed.Errors[0];
            await error.WriteLineAsync(English.OneLine(fault.Message));
            await error.WriteLineAsync($"Usage: {command.Name} [options]; {command.Name} --help lists them.");
            return 1;
        }

        return await parsed.InvokeAsync(new InvocationConfiguration { Output = output, Error = error }, cancellationToken);
    }

    /// <summary>Runs a command's work and turns its exceptions into one line and an exit code.</summary>
    /// <param name="error">Receives the line.</param>
    /// <param name="canceled">What is true of a canceled run.</param>
    /// <param name="run">The work.</param>
    public static async Task<int> GuardedAsync(TextWriter error, string canceled, Func<Task> run)
    {
        try
        {
            await run();
            return 0;
        }
        catch (OperationCanceledException)
        {
            await error.WriteLineAsync($"Canceled; {canceled}");
            return 130;
        }
        catch (Exception exception)
        {
            // A program's last resort: whatever it is, the user gets its words instead of a stack trace.
            var cause = exception;
            while (cause is TypeInitializationException { InnerException: { } inner })
            {
                cause = inner;
            }

            await error.WriteLineAsync(English.OneLine(cause.Message));
            return 1;
        }
    }

    /// <summary>Creates an option for a number with a decimal point.</summary>
    public static Option<double?> Number(string name, NumberRange range, string description) =>
        Create<double?>(name, description, text => range.Parse(name, text));

    /// <summary>Creates an option for a whole number that fits into 32 bits.</summary>
    public static Option<int?> Whole(string name, NumberRange range, string description) =>
        Create<int?>(name, description, text => (int)range.ParseWhole(name, text));

    /// <summary>Creates an option for a seed.</summary>
    public static Option<long?> Seed(string name, string description) =>
        Create<long?>(name, description, text => NumberRange.Any.ParseWhole(name, text));

    /// <summary>Creates an option that takes one of some words.</summary>
    public static Option<string> Choice(string name, string description, params string[] words)
    {
        var option = OptionalChoice(name, description, words);
        option.DefaultValueFactory = _ => words[0];
        return option!;
    }

    /// <summary>Creates an option that takes one of some words, or is left out.</summary>
    public static Option<string?> OptionalChoice(string name, string description, params string[] words)
    {
        var option = Create<string?>(name, description, text => words.Contains(text)
            ? text
            : throw new UserErrorException($"{name} is '{text}'; it must be {English.Or(words)}."));
        option.CompletionSources.Add(words);
        return option;
    }

    /// <summary>Creates an option that can be repeated, with one text each time.</summary>
    public static Option<string[]> Repeated(string name, string description, params string[] aliases) => new(name, aliases)
    {
        Description = description, Arity = ArgumentArity.OneOrMore, AllowMultipleArgumentsPerToken = false,
    };

    /// <summary>Creates the option for the device.</summary>
    public static Option<string> Device(string name)
    {
        var option = Create(name, "The device: auto, cpu, cuda or cuda:N.", text => DeviceName().IsMatch(text)
            ? text
            : throw new UserErrorException($"{name} is '{text}'; it must be auto, cpu, cuda or cuda:N."));
        option.DefaultValueFactory = _ => "auto";
        return option;
    }

    /// <summary>Creates an option for a path or name, which cannot be empty.</summary>
    public static Option<string> Name(string name, string description, string? defaultValue = null, params string[] aliases)
    {
        var option = Create(
            name, description, text => text.Length > 0 ? text : throw new UserErrorException($"{name} is empty; give a name."), aliases);
        if (defaultValue is not null)
        {
            option.DefaultValueFactory = _ => defaultValue;
        }

        return option;
    }

    /// <summary>Whether the user gave an option, rather than its default.</summary>
    public static bool IsGiven(this ParseResult parsed, Option option) => parsed.GetResult(option) is { Implicit: false };

    /// <summary>Without a handler, the signal of a file that grows beyond the user's limit ends the process; with one, writing fails with
    /// an
    /// error. It stays to the end: a signal is handled on another thread, perhaps after the write has failed.</summary>
    private static void OutliveFileSizeLimit()
    {
        if (!OperatingSystem.IsWindows())
        {
            fileSize ??= PosixSignalRegistration.Create(FileSizeExceeded, signal => signal.Cancel = true);
        }
    }

    private static Option<T> Create<T>(string name, string description, Func<string, T> parse, params string[] aliases) =>
        new(name, aliases)
    {
        Description = description,
        Arity = ArgumentArity.ExactlyOne,
        CustomParser = result =>
        {
            try
            {
                return parse(result.Tokens[0].Value);
            }
            catch (DocumentException exception)
            {
                result.AddError(exception.Message);
                return default;
            }
        },
    };

    [GeneratedRegex(@"^(auto|cpu|cuda|cuda:\d{1,4})$")]
    private static partial Regex DeviceName();
}
