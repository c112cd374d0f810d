using Microsoft.Extensions.AI;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using StorySync.Diffusion.Weights;
using StorySync.Pipelines;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Extensions.Tests;

public class ServicesTests
{
    [Fact]
    public async Task A_model_is_one_object_loaded_when_first_used_and_disposed_with_the_host()
    {
        DiffusionPipeline pipeline;
        StorySyncModel model;
        using (var host = Hosts.WithStorybook())
        {
            await host.StartAsync();
            model = host.Model();
            Assert.False(model.IsLoaded);

            pipeline = host.Services.GetRequiredService<DiffusionPipeline>();

            Assert.True(model.IsLoaded);
            Assert.Same(model, host.Services.GetRequiredService<StorySyncModel>());
            Assert.Same(pipeline, await model.LoadAsync());
            Assert.Same(model, host.Services.GetRequiredService<IImageGenerator>().GetService<StorySyncModel>());
        }

        Assert.Throws<ObjectDisposedException>(() => pipeline.Scheduler);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => model.LoadAsync());
    }

    [Fact]
    public async Task Models_of_the_configuration_have_its_keys_and_options()
    {
        using var host = Hosts.Build(
            (services, configuration) => services.AddKeyedStorySync(configuration.GetSection("StorySync:Models")),
            new()
            {
                ["StorySync:Models:fox:Model"] = "storybook",
                ["StorySync:Models:fox:Device"] = "cpu",
                ["StorySync:Models:fox:Dtype"] = "BFloat16",
                ["StorySync:Models:cat:Model"] = "storybook",
                ["StorySync:Models:cat:Device"] = "cpu",
                ["StorySync:Models:cat:Scheduler"] = "DDIMScheduler",
            });
        var fox = await host.Model("fox").LoadAsync();
        var cat = await host.Model("cat").LoadAsync();

        Assert.Equal((ScalarType.BFloat16, ScalarType.Float32), (fox.Options.Dtype, cat.Options.Dtype));
        Assert.Equal("DDIMScheduler", cat.Scheduler.GetType().Name);
        Assert.Same(fox, host.Services.GetRequiredKeyedService<DiffusionPipeline>("fox"));
        Assert.Same(host.Model("cat"), host.Services.GetRequiredKeyedService<IImageGenerator>("cat").GetService<StorySyncModel>());
    }

    [Fact]
    public async Task The_model_without_a_key_is_of_the_configuration_too()
    {
        using var host = Hosts.Build(
            (services, configuration) => services.AddStorySync(configuration.GetSection("StorySync")),
            new() { ["StorySync:Model"] = "storybook", ["StorySync:Device"] = "cpu", ["StorySync:TiledDecoding"] = "true" });

        Assert.True((await host.Model().LoadAsync()).Options.TiledDecoding);
    }

    public static TheoryData<string, string, string> Wrong => new()
    {
        { "Model", "", "Model is empty" },
        { "Model", "nobody/nothing", "nobody/nothing" },
        { "Device", "gpu", "Device is 'gpu'; expected auto, cpu, cuda or cuda:N" },
        { "Dtype", "int8", "Dtype is 'int8'; expected float32, bfloat16, float16" },
        { "Scheduler", "Euler", "The scheduler is 'Euler'" },
        { "MaxWaiting", "-1", "MaxWaiting is -1; expected 0 or more" },
        { "Dvice", "cpu", "Dvice" },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public async Task What_is_wrong_in_the_configuration_is_said_at_start(string entry, string value, string said)
    {
        var entries = new Dictionary<string, string?> { ["Models:fox:Model"] = "storybook", ["Models:fox:Device"] = "cpu" };
        entries[$"Models:fox:{entry}"] = value;
        using var host = Hosts.Build((services, all) => services.AddKeyedStorySync(all.GetSection("Models")), entries);

        var error = await Assert.ThrowsAnyAsync<Exception>(() => host.StartAsync());

        Assert.Contains(said, error.Message, StringComparison.Ordinal);
        if (entry != "Dvice")
        {
            Assert.IsType<OptionsValidationException>(error);
            Assert.StartsWith("StorySync's model 'fox': ", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_model_can_be_loaded_at_start_with_its_parts_in_the_log()
    {
        using var host = Hosts.WithStorybook(options => options.LoadAtStart = true);
        await host.StartAsync();

        Assert.True(host.Model().IsLoaded);
        var log = host.Log();
        Assert.Equal("storybook is loading, for device cpu in float32.", log[0].Message);
        Assert.Contains(log, record => record.Message == "storybook: loading unet.");
        Assert.StartsWith("storybook is loaded on cpu, after ", log[^1].Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_loading_that_failed_is_in_the_log_and_is_tried_again()
    {
        using var folder = new TemporaryFolder();
        var source = ModelFolder.Open("storybook").Path;
        File.Copy(Path.Combine(source, "model_index.json"), Path.Combine(folder.Path, "model_index.json"));
        using var host = Hosts.Build((services, _) => services.AddStorySync(folder.Path, options => options.Device = "cpu"));
        await host.StartAsync();

        await Assert.ThrowsAsync<ModelFileException>(() => host.Model().LoadAsync());
        var failed = host.Log()[^1];
        foreach (var file in Directory.EnumerateFiles(source, "*", SearchOption.AllDirectories))
        {
            var target = Path.Combine(folder.Path, Path.GetRelativePath(source, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target, overwrite: true);
        }

        Assert.Equal((LogLevel.Error, true), (failed.Level, failed.Exception is ModelFileException));
        Assert.NotNull(await host.Model().LoadAsync());
    }

    [Fact]
    public void Every_option_of_a_pipeline_can_be_set()
    {
        var own = new StorySyncModelOptions
        {
            Device = "cpu", Dtype = "float16", Variant = "fp16", TiledDecoding = true, StreamBlocks = true, Offload = true,
            MapWeights = false, Scheduler = "DDIMScheduler", ChecksMemory = false, MarksImages = false,
            Vae = "vae.safetensors", TextEncoder = "clip_l.safetensors", TextEncoder2 = "t5xxl.safetensors", Config = "folder",
            Quantization = WeightQuantization.Int8,
        };
        var (options, defaults) = (own.ToPipelineOptions(), new PipelineOptions());

        Assert.All(
            typeof(PipelineOptions).GetProperties().Where(property => property.Name != nameof(PipelineOptions.Logger)),
            property => Assert.NotEqual(property.GetValue(defaults), property.GetValue(options)));
        Assert.Equal(defaults, new StorySyncModelOptions().ToPipelineOptions());
    }

    [Fact]
    public void Adding_a_model_again_sets_further_options_of_the_same_one()
    {
        using var host = Hosts.Build((services, _) => services
            .AddStorySync("storybook", options => options.Device = "cpu").AddStorySync("storybook", options => options.MaxWaiting = 7));

        Assert.Single(host.Services.GetServices<StorySyncModel>());
        Assert.Single(host.Services.GetServices<IHostedService>().OfType<ModelLoader>());
        var options = host.Services.GetRequiredService<IOptions<StorySyncModelOptions>>().Value;
        Assert.Equal(("cpu", 7), (options.Device, options.MaxWaiting));
    }
}
