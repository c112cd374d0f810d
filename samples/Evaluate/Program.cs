using StorySync.Samples;
using StorySync.Samples.Evaluate;

return await CommandLine.InvokeAsync(EvaluateCommand.Create(), args, Console.Out, Console.Error);
